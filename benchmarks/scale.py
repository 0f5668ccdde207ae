"""What work on a Ray cluster costs beside a single process, and how it grows with the rows.

    python benchmarks/scale.py
    python benchmarks/scale.py --rows 100000 --rows 1000000 --rows 10000000 --workers 0

A tower of two layers with moving statistics on 16 numbers, in files of 50,000 rows: recalibration of `.npz`
files, which takes two passes, and replay of Parquet tables in requests of ten rows. Each case has a process
of its own; `0 workers` is the plain single process. Rates are rows of a pass over seconds of the processor
that reading, scoring and adding up takes. What starts a worker (Python, TensorFlow, the model) and what the
driver takes are told apart, as they do not grow with the rows. Memory is the largest of any process.
"""

from __future__ import annotations

import importlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

FEATURES, IN_FILE, IN_REQUEST = 16, 50_000, 10
PASSES = {"recalibrate": 2, "replay": 1}


def megabytes() -> float:
    """The most memory that this process has had, on Linux.

    What `getrusage` tells begins with the memory of the process that has started this one.
    """
    (most,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(most) / 1024


class Making:
    """Loads work in a worker, which then says what it takes: seconds of its processor, and memory."""

    def __init__(self, make: Callable[[], Any]):
        self._make = make

    def __call__(self) -> Measured:
        return Measured(self._make())


class Measured:
    """Work that comes back with what it took, what the worker took to start, and its memory."""

    def __init__(self, work: Any):
        self.fingerprint, self._work = work.fingerprint, work
        self._started = time.process_time()

    def __call__(self, file: str, *arguments: Any) -> Any:
        before = time.process_time()
        found = self._work(file, *arguments)
        return found, time.process_time() - before, self._started, megabytes()


def make_model(folder: Path) -> None:
    import keras

    import tfnorm

    keras.utils.set_random_seed(0)
    inputs = keras.Input((FEATURES,), name="x")
    x = tfnorm.BatchNormalization(name="normalization")(inputs)
    x = tfnorm.Dice(name="dice")(keras.layers.Dense(64)(x))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(x))
    model.save(folder / "model.keras")


def make_files(folder: Path, task: str, rows: int) -> Path:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet

    place = folder / f"{task}-{rows}"
    place.mkdir()
    scorer = None
    if task == "replay":
        import tfnorm

        scorer = tfnorm.load_scorer(folder / "model.keras")
    for number, start in enumerate(range(0, rows, IN_FILE)):
        count = min(IN_FILE, rows - start)
        x = np.random.default_rng(number).normal(3, 2, (count, FEATURES)).astype(np.float32)
        if scorer is None:
            np.savez(place / f"{number:05}.npz", x=x)
            continue
        lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), FEATURES)
        scores = scorer.score({"x": x})["score"][:, 0]
        requests = np.repeat(np.arange(count // IN_REQUEST), IN_REQUEST)
        columns = {"request": requests, "x": lists, "score": scores}
        pa.parquet.write_table(pa.table(columns), place / f"{number:05}.parquet")
    return place


def one(task: str, model: Path, files: Path, workers: int) -> dict[str, float]:
    """What a case takes."""
    import keras

    import tfnorm
    from tfnorm.cluster import statistics
    from tfnorm.cluster.workers import Workers
    from tfnorm.pipeline import recalibrate_by_file

    # In the package the function of that name stands before its module.
    replay = importlib.import_module("tfnorm.cluster.replay")
    taken: list[tuple[float, float, float]] = []

    class MeasuredWorkers(Workers):
        def __init__(self, address: str, make: Callable[[], Any], **options: Any):
            super().__init__(address, Making(make), **options)

        def map(self, *arguments: Any) -> Iterator[Any]:
            for found, *of_file in super().map(*arguments):
                taken.append(tuple(of_file))
                yield found

    statistics.Workers = replay.Workers = MeasuredWorkers
    before, wall = time.process_time(), time.perf_counter()
    if task == "recalibrate":
        if workers:
            done = statistics.recalibrate(model, files, workers=workers).done
        else:
            done = recalibrate_by_file(keras.models.load_model(model, compile=False), files)
        assert done.passes == PASSES[task]
    else:
        run = replay.replay(files, model, workers=workers).report if workers else None
        report = run or tfnorm.replay(files, model, threads=1)
        assert report.verdict == "equal"
    own, passed = time.process_time() - before, time.perf_counter() - wall
    if not workers:
        return {"work": own, "driver": 0.0, "start": before, "memory": megabytes(), "wall": passed}
    return {
        "work": sum(seconds for seconds, *_ in taken),
        "driver": own,
        "start": max(start for _, start, _ in taken),
        "memory": max(megabytes(), *(memory for *_, memory in taken)),
        "wall": passed,
    }


@click.command()
@click.option("--rows", multiple=True, type=int, default=(100_000, 1_000_000), show_default=True)
@click.option("--workers", multiple=True, type=int, default=(0, 1, 2), show_default=True)
@click.option("--tasks", multiple=True, default=tuple(PASSES), type=click.Choice(list(PASSES)))
@click.option("--rounds", type=int, default=3, show_default=True)
@click.option("--case", nargs=4, hidden=True)
def main(
    rows: tuple[int, ...],
    workers: tuple[int, ...],
    tasks: tuple[str, ...],
    rounds: int,
    case: tuple[str, str, str, str] | None,
) -> None:
    """What work on a Ray cluster costs beside a single process, and how it grows with the rows."""
    if case is not None:
        task, model, files, count = case
        print(json.dumps(one(task, Path(model), Path(files), int(count))))
        return
    columns = ("rows", "workers", "rows/s of a core", "least", "most", "driver s", "start s", "MB")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        make_model(folder)
        for task in tasks:
            table = Table(*columns, title=task)
            for size in rows:
                files = make_files(folder, task, size)
                found: dict[int, list[dict[str, float]]] = {count: [] for count in workers}
                for _ in range(rounds):
                    for count in workers:
                        given = (task, folder / "model.keras", files, count)
                        command = [sys.executable, __file__, "--case", *map(str, given)]
                        done = subprocess.run(
                            command, check=True, stdout=subprocess.PIPE, text=True
                        )
                        found[count].append(json.loads(done.stdout.splitlines()[-1]))
                for count, runs in found.items():
                    rates = sorted(PASSES[task] * size / run["work"] for run in runs)
                    middle = [statistics.median(run[name] for run in runs) for name in runs[0]]
                    _, driver, start, memory, _ = middle
                    figures = (statistics.median(rates), rates[0], rates[-1])
                    table.add_row(
                        f"{size:,}",
                        str(count),
                        *(f"{rate:,.0f}" for rate in figures),
                        f"{driver:.1f}",
                        f"{start:.1f}",
                        f"{memory:,.0f}",
                    )
            Console(width=110).print(table)


if __name__ == "__main__":
    main()
