"""How much memory an export with a large embedding table takes, in times the table's bytes.

    python benchmarks/tables.py --gigabytes 1

Each job is a process of its own: an export from Python of a model that it has made, and then
`tfnorm inspect`, `tfnorm verify` and a server, of what was exported. A figure is the most memory that the
process had resident, less what it has once TensorFlow is imported, over the table's bytes. The exit status is
1 if one is above 1.5.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

WIDTH = 32
MOST = 1.5
JOBS = ("export", "export, int8", "inspect", "verify", "serve")


def resident(what: str) -> int:
    """Bytes of this process: `VmRSS`, or the most that it had, `VmHWM`."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(what))
    return int(line.split()[1]) * 1024


def export(folder: str, rows: int, **settings: str) -> None:
    """Export a model of one large table."""
    import keras
    import numpy as np

    from tfnorm.export import export_saved_model

    inputs = {"id": keras.Input((), name="id", dtype="int32"), "x": keras.Input((3,), name="x")}
    # Random values would take the memory of the table several times, to be drawn.
    table = keras.layers.Embedding(rows, WIDTH, embeddings_initializer="ones")
    embedded = table(inputs["id"])
    x = keras.layers.Dense(8)(keras.layers.Concatenate()([embedded, inputs["x"]]))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    rng = np.random.default_rng(0)
    examples = {"id": rng.integers(1, rows, 64, np.int32), "x": rng.random((64, 3), np.float32)}
    export_saved_model(model, folder, examples=examples, **settings)


def run(job: str, folder: str, rows: int) -> None:
    """Do one job."""
    if job == "export":
        export(folder, rows)
    elif job == "export, int8":
        with tempfile.TemporaryDirectory() as other:
            export(other, rows, embeddings="int8")
    elif job == "serve":
        from tfnorm.server import Server

        with Server(folder, "ranker", port=0, rest_port=0):
            pass
    else:
        from tfnorm.cli import main

        options = ["--batch-size", "16"] if job == "verify" else []
        try:
            main([job, folder, *options])
        except SystemExit as stopped:
            assert not stopped.code, f"{job} ended with {stopped.code}"


@click.command()
@click.option("--gigabytes", type=float, default=1.0, show_default=True, help="Of the table.")
@click.option("--job", hidden=True)
@click.option("--folder", hidden=True)
def main(gigabytes: float, job: str | None, folder: str | None) -> None:
    """Measure the memory of each job."""
    rows = int(gigabytes * 2**30 / WIDTH / 4)
    if job is not None and folder is not None:
        import tfnorm  # noqa: F401 - with TensorFlow and Keras

        before = resident("VmRSS")
        run(job, folder, rows)
        print(json.dumps(resident("VmHWM") - before))
        return
    table = Table("job", "times the table's bytes", title=f"a table of {gigabytes:g} GiB")
    worst = 0.0
    with tempfile.TemporaryDirectory() as exports:
        for name in JOBS:
            command = [sys.executable, __file__, "--gigabytes", str(gigabytes), "--job", name]
            done = subprocess.run(
                [*command, "--folder", exports], capture_output=True, text=True, check=True
            )
            times = json.loads(done.stdout.splitlines()[-1]) / (rows * WIDTH * 4)
            worst = max(worst, times)
            table.add_row(name, f"{times:.2f}")
    Console().print(table)
    sys.exit(1 if worst > MOST else 0)


if __name__ == "__main__":
    main()
