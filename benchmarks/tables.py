"""How much memory a large embedding table takes, in times the table's bytes.

    python benchmarks/tables.py --gigabytes 1

Each job is a process of its own: an export from Python of a model that it has made; `tfnorm export
--verify`, `tfnorm inspect` and `tfnorm verify` of a `.keras` file; and `tfnorm inspect`, `tfnorm verify` and
a server, of what was exported. A figure is the most memory that the process had resident, less what it has
once TensorFlow is imported, over the table's bytes; the least and the most of the rounds. The exit status is
1 if one is above 1.5, not counting the 64 MB that a job may take whatever the table is: to trace, save and
score a model of this kind takes about 33 MB, with a table of a quarter of a GiB as with one of four.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

WIDTH = 32
MOST, OF_ANY_TABLE = 1.5, 64 << 20
SAVE, PUBLISH = "save", "publish"
STORES = {
    PUBLISH: "float32",
    "export": "float32",
    "export, float16": "float16",
    "export, int8": "int8",
}
JOBS = (
    "export",
    "export, float16",
    "export, int8",
    "export a file",
    "inspect a file",
    "verify a file",
    "inspect",
    "verify",
    "serve",
)


def resident(what: str) -> int:
    """Bytes of this process: `VmRSS`, or the most that it had, `VmHWM`."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(what))
    return int(line.split()[1]) * 1024


def made(rows: int):
    """A model of one large table, and examples."""
    import keras
    import numpy as np

    inputs = {"id": keras.Input((), name="id", dtype="int32"), "x": keras.Input((3,), name="x")}
    # Random values would take the memory of the table several times, to be drawn.
    table = keras.layers.Embedding(rows, WIDTH, embeddings_initializer="ones")
    embedded = table(inputs["id"])
    x = keras.layers.Dense(8)(keras.layers.Concatenate()([embedded, inputs["x"]]))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    rng = np.random.default_rng(0)
    examples = {"id": rng.integers(1, rows, 64, np.int32), "x": rng.random((64, 3), np.float32)}
    return model, examples


def save(folder: Path, rows: int) -> None:
    """Write the model as a `.keras` file, and the examples."""
    # Keras makes the file in memory, several times, where psutil says that there is enough of it.
    sys.modules["psutil"] = None  # type: ignore[assignment]
    import numpy as np

    model, examples = made(rows)
    model.save(folder / "model.keras")
    np.savez(folder / "examples.npz", **examples)


def command(job: str, folder: Path, other: str) -> list[str]:
    """The arguments of `tfnorm` for a job."""
    file, exports = str(folder / "model.keras"), str(folder / "exports")
    examples = ["--examples", str(folder / "examples.npz")]
    smaller = ["--batch-size", "16"]
    return {
        "export a file": ["export", file, other, *examples, "--verify"],
        "inspect a file": ["inspect", file],
        "verify a file": ["verify", file, *examples, *smaller],
        "inspect": ["inspect", exports],
        "verify": ["verify", exports, *smaller],
    }[job]


def run(job: str, folder: Path, rows: int) -> None:
    """Do one job."""
    with tempfile.TemporaryDirectory(dir=folder) as other:
        if job == SAVE:
            save(folder, rows)
        elif job in STORES:
            from tfnorm.export import export_saved_model

            model, examples = made(rows)
            place = folder / "exports" if job == PUBLISH else other
            export_saved_model(model, place, examples=examples, embeddings=STORES[job])
        elif job == "serve":
            from tfnorm.server import Server

            with Server(folder / "exports", "ranker", port=0, rest_port=0):
                pass
        else:
            from tfnorm.cli import main

            try:
                main(command(job, folder, other))
            except SystemExit as stopped:
                assert not stopped.code, f"{job} ended with {stopped.code}"


def in_a_process(job: str, folder: Path, gigabytes: float) -> str:
    """What a process prints last that does a job, or prepares one."""
    arguments = ["--gigabytes", str(gigabytes), "--job", job, "--folder", str(folder)]
    done = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.rpartition("\n")[0].rpartition("\n")[2]


@click.command()
@click.option("--gigabytes", type=float, default=1.0, show_default=True, help="Of the table.")
@click.option(
    "--rounds", type=int, default=3, show_default=True, help="How often each job is done."
)
@click.option("--job", hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(gigabytes: float, rounds: int, job: str | None, folder: Path | None) -> None:
    """Measure the memory of each job."""
    rows = int(gigabytes * 2**30 / WIDTH / 4)
    if job is not None and folder is not None:
        import tfnorm  # noqa: F401 - with TensorFlow and Keras

        before = resident("VmRSS")
        run(job, folder, rows)
        print(json.dumps(resident("VmHWM") - before))
        return
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as prepared:
        for name in (SAVE, PUBLISH):
            in_a_process(name, Path(prepared), gigabytes)
        for name in track([*JOBS] * rounds, "measuring"):
            taken = json.loads(in_a_process(name, Path(prepared), gigabytes))
            found[name].append(taken / (rows * WIDTH * 4))
    table = Table("job", "times the table's bytes", title=f"a table of {gigabytes:g} GiB")
    for name, times in found.items():
        table.add_row(name, f"{min(times):.2f} to {max(times):.2f}")
    Console().print(table)
    most = MOST + OF_ANY_TABLE / (rows * WIDTH * 4)
    sys.exit(1 if any(max(times) > most for times in found.values()) else 0)


if __name__ == "__main__":
    main()
