"""How fast a log is replayed, beside the bare session, and in how much memory.

    python benchmarks/replay.py --requests 2000000 --json benchmarks/results/replay.json

A log of PredictionLog is generated, of requests of 1 to 20 rows that a small ranker answers, and replayed
with its own model. The rate is in rows a second; beside it that of the C++ session alone, which scores the
same requests that have been read before, in one thread and in as many as the replay has. Each replay is in
a process of its own, whose largest resident set is told; beside the whole log a tenth of one is replayed,
which takes as much memory.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import click
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from timing import versions

import tfnorm
from tfnorm.session import SavedModel

FEATURES, MOST = 16, 20
BARE = 20_000
"""Requests that the bare session scores."""


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


def requests(count: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(0)
    for size in generator.integers(1, MOST, count, endpoint=True):
        yield generator.normal(size=(size, FEATURES)).astype(np.float32)


def write(path: Path, model: SavedModel, count: int) -> int:
    """How many rows the log has."""
    rows = 0
    log = PredictionLog()
    log.predict_log.response.model_spec.version.value = 1
    with tf.io.TFRecordWriter(str(path)) as writer:
        for x in track(requests(count), "log", count, console=Console(stderr=True), transient=True):
            for protos, array in (
                (log.predict_log.request.inputs["x"], x),
                (log.predict_log.response.outputs["score"], model.run({"x": x})["score"]),
            ):
                protos.dtype = tf.float32.as_datatype_enum
                del protos.tensor_shape.dim[:]
                for size in array.shape:
                    protos.tensor_shape.dim.add(size=size)
                protos.tensor_content = array.tobytes()
            writer.write(log.SerializeToString())
            rows += len(x)
    return rows


def bare(model: SavedModel, threads: int) -> float:
    """Rows a second of the session alone."""
    asked = list(requests(BARE))
    model.run({"x": asked[0]})
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda x: model.run({"x": x}), asked, chunksize=100):
            pass
    return sum(map(len, asked)) / (time.perf_counter() - begun)


def replayed(log: Path, export: Path) -> tuple[float, int]:
    """Rows a second of a replay in a process of its own, and the megabytes that it took."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_replayed, log, export).result()


def _replayed(log: Path, export: Path) -> tuple[float, int]:
    begun = time.perf_counter()
    report = tfnorm.replay(log, export)
    seconds = time.perf_counter() - begun
    assert report.passed
    # Not what getrusage has, which goes on from the process that started this one.
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    return report.model.rows / seconds, int(line.split()[1]) >> 10


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--requests", "count", default=2_000_000, show_default=True, type=click.IntRange(10))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path))
def main(count: int, rounds: int, file: Path | None) -> None:
    """Replay a generated log."""
    threads = os.cpu_count() or 1
    rates: dict[str, list[float]] = {}
    peaks: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        export, log, tenth = Path(folder, "ranker", "1"), Path(folder, "log"), Path(folder, "tenth")
        module = Ranker()
        tf.saved_model.save(module, str(export), signatures=module.serve)
        with SavedModel(export) as model:
            rows = write(log, model, count)
            write(tenth, model, count // 10)
            for _ in range(rounds):
                for n in sorted({1, threads}):
                    rates.setdefault(f"session alone, {n} threads", []).append(bare(model, n))
                for path, requests_ in ((tenth, count // 10), (log, count)):
                    rate, peak = replayed(path, export)
                    name = f"replay of {requests_:,} requests, {threads} threads"
                    rates.setdefault(name, []).append(rate)
                    peaks.setdefault(name, []).append(peak)
        size = log.stat().st_size
    table = Table(title=f"{count:,} requests, {rows:,} rows, a log of {size >> 20:,} MB")
    table.add_column("")
    for column in ("least", "median", "most", "peak MB, least to most"):
        table.add_column(column, justify="right")
    for name, found in rates.items():
        peak = peaks.get(name)
        table.add_row(
            name,
            *(f"{one:,.0f}" for one in (min(found), median(found), max(found))),
            "" if peak is None else f"{min(peak):,} to {max(peak):,}",
        )
    Console().print("rows a second", table)
    if file is not None:
        packages = versions("tensorflow", "numpy")
        found = {"requests": count, "rows": rows, "log_bytes": size, "rounds": rounds}
        report = {"versions": packages, **found, "rows_a_second": rates, "peak_megabytes": peaks}
        file.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
