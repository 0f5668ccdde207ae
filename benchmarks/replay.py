"""How fast a log is replayed, beside the bare session, and in how much memory.

    python benchmarks/replay.py --requests 2000000 --json benchmarks/results/replay.json
    python benchmarks/replay.py --model din --requests 20000

A log of PredictionLog is generated, of requests of 1 to 20 rows and what a model answers to them, and is
replayed with that model: a small ranker, next to which all else that a replay does is long, or a DIN with
histories of 50 items. Beside it is the rate of the C++ session alone, which scores requests that lie in
memory.

A tenth of the log is replayed several times, each time after the session alone was timed, so that both
have seen the same load of the machine; then all of it is, once, in a process of its own as each replay is,
whose largest resident set is told: it is to be no more than that of the tenth. The log repeats 20,000
requests, which a replay does not notice; it is written in less than a minute.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import click
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from timing import versions

import tfnorm
from tfnorm.session import SavedModel

FEATURES, MOST, STEPS = 16, 20, 50
ITEMS, CATEGORIES = 10_000, 100
DISTINCT = 20_000
"""Requests that are generated; a longer log repeats them."""


class Ranker(tf.Module):
    """Two hidden layers."""

    def __init__(self) -> None:
        generator = tf.random.Generator.from_seed(0)
        shapes = ((FEATURES, 64), (64, 32), (32, 1))
        self.kernels = [tf.Variable(generator.normal(shape) / shape[0] ** 0.5) for shape in shapes]

    @tf.function(input_signature=[tf.TensorSpec([None, FEATURES], tf.float32, "x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        for kernel in self.kernels[:-1]:
            x = tf.nn.relu(x @ kernel)
        return {"score": tf.sigmoid(x @ self.kernels[-1])[:, 0]}


def export_ranker(path: Path) -> None:
    module = Ranker()
    tf.saved_model.save(module, str(path), signatures=module.serve)


def export_din(path: Path) -> None:
    model = tfnorm.models.DIN(item_count=ITEMS, category_count=CATEGORIES)
    tfnorm.export_saved_model(model, path.parent, version=1, allow_untrained_statistics=True)


def ranker_request(generator: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    return {"x": generator.normal(size=(size, FEATURES)).astype(np.float32)}


def din_request(generator: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """Candidates for one user, whose history each of them has."""
    history = generator.integers(1, ITEMS, STEPS, dtype=np.int32)
    history[generator.integers(1, STEPS) :] = 0
    items = generator.integers(1, ITEMS, size, dtype=np.int32)
    histories = np.tile(history, (size, 1))
    return {
        "item": items,
        "category": items % CATEGORIES,
        "history_items": histories,
        "history_categories": histories % CATEGORIES,
    }


MODELS: dict[str, tuple[Callable[[Path], None], Callable[..., dict[str, np.ndarray]]]] = {
    "ranker": (export_ranker, ranker_request),
    "din": (export_din, din_request),
}


def requests(name: str, count: int) -> Iterator[dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    for size in generator.integers(1, MOST, count, endpoint=True):
        yield MODELS[name][1](generator, int(size))


def record(model: SavedModel, inputs: dict[str, np.ndarray]) -> bytes:
    """A request and its answer, as TensorFlow Serving logs them."""
    log = PredictionLog()
    log.predict_log.response.model_spec.version.value = 1
    for protos, arrays in (
        (log.predict_log.request.inputs, inputs),
        (log.predict_log.response.outputs, model.run(inputs)),
    ):
        for name, array in arrays.items():
            protos[name].CopyFrom(tf.make_tensor_proto(array))
    return log.SerializeToString()


def write(path: Path, records: list[bytes], count: int) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in islice(cycle(records), count):
            writer.write(one)


@dataclass(frozen=True)
class Run:
    """So many rows, in seconds of the clock and of the processor, in so many megabytes at most."""

    rows: int
    seconds: float
    processor: float
    megabytes: int = 0


def bare(model: SavedModel, asked: list[dict[str, np.ndarray]], threads: int) -> Run:
    """The session alone, each thread with a part of the requests."""

    def scored(part: list[dict[str, np.ndarray]]) -> int:
        return sum(len(next(iter(model.run(one).values()))) for one in part)

    model.run(asked[0])
    begun, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        rows = sum(pool.map(scored, [asked[n::threads] for n in range(threads)]))
    return Run(rows, time.perf_counter() - begun, time.process_time() - used)


def replayed(log: Path, export: Path) -> Run:
    """A replay, in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_replayed, log, export).result()


def _replayed(log: Path, export: Path) -> Run:
    begun, used = time.perf_counter(), time.process_time()
    report = tfnorm.replay(log, export)
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    assert report.passed
    # Not what getrusage has, which goes on from the process that started this one.
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    return Run(report.model.rows, seconds, processor, int(line.split()[1]) >> 10)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", "name", default="ranker", show_default=True, type=click.Choice([*MODELS]))
@click.option("--requests", "count", default=2_000_000, show_default=True, type=click.IntRange(10))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path))
def main(name: str, count: int, rounds: int, file: Path | None) -> None:
    """Replay a generated log."""
    threads = os.cpu_count() or 1
    runs: dict[str, list[Run]] = {}
    loads = []
    with tempfile.TemporaryDirectory() as folder:
        export, log, tenth = Path(folder, "model", "1"), Path(folder, "log"), Path(folder, "tenth")
        MODELS[name][0](export)
        asked = list(requests(name, min(count, DISTINCT)))
        with SavedModel(export) as model:
            records = [record(model, one) for one in asked]
            write(log, records, count)
            write(tenth, records, count // 10)
            for _ in range(rounds):
                loads.append(os.getloadavg()[0])
                for n in sorted({1, threads}):
                    key = f"session alone, threads: {n}"
                    runs.setdefault(key, []).append(bare(model, asked, n))
                key = f"replay of {count // 10:,} requests, threads: {threads}"
                runs.setdefault(key, []).append(replayed(tenth, export))
        runs[f"replay of {count:,} requests, threads: {threads}"] = [replayed(log, export)]
        size = log.stat().st_size
    loads.append(os.getloadavg()[0])
    table = Table(title=f"{name}: {count:,} requests, a log of {size >> 20:,} MB")
    table.add_column("")
    for column in (
        *("rows a second: least", "median", "most"),
        *("rows a processor second: least", "median", "most"),
        "peak MB, least to most",
    ):
        table.add_column(column, justify="right")
    for key, found in runs.items():
        rates = [
            [one.rows / seconds(one) for one in found]
            for seconds in (lambda one: one.seconds, lambda one: one.processor)
        ]
        peaks = [one.megabytes for one in found]
        table.add_row(
            key,
            *(f"{one:,.0f}" for rate in rates for one in (min(rate), median(rate), max(rate))),
            f"{min(peaks):,} to {max(peaks):,}" if all(peaks) else "",
        )
    console = Console(width=160)
    console.print(table)
    console.print(f"load of the machine {min(loads):.1f} to {max(loads):.1f}")
    if file is not None:
        report = {
            "versions": versions("tensorflow", "numpy"),
            **{"model": name, "requests": count, "log_bytes": size, "load": loads},
            "runs": {key: [vars(one) for one in found] for key, found in runs.items()},
        }
        file.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
