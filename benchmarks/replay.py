"""How fast a log is replayed, beside the bare session, and in how much memory.

    python benchmarks/replay.py --requests 2000000 --json benchmarks/results/replay.json

A log of PredictionLog is generated, of requests of 1 to 20 rows that a small ranker answers, and replayed
with its own model. The rate is in rows a second; beside it that of the C++ session alone, which scores the
same requests that have been read before, in one thread and in as many as the replay has. Peak memory is the
process's largest resident set, once before the log is replayed and once after it.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--requests", "count", default=2_000_000, show_default=True, type=click.IntRange(1))
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path))
def main(count: int, file: Path | None) -> None:
    """Replay a generated log."""
    threads = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        export, log = Path(folder, "ranker", "1"), Path(folder, "log")
        module = Ranker()
        tf.saved_model.save(module, str(export), signatures=module.serve)
        with SavedModel(export) as model:
            rows = write(log, model, count)
            alone = {str(n): bare(model, n) for n in sorted({1, threads})}
        size, before = log.stat().st_size, megabytes()
        begun = time.perf_counter()
        report = tfnorm.replay(log, export)
        rate = rows / (time.perf_counter() - begun)
    assert report.passed and report.model.rows == rows
    found = {
        "requests": count,
        "rows": rows,
        "log_megabytes": size >> 20,
        "threads": threads,
        "rows_a_second": round(rate),
        "session_rows_a_second": {n: round(one) for n, one in alone.items()},
        "peak_megabytes": {"before": before, "after": megabytes()},
    }
    table = Table(title=f"{count:,} requests, {rows:,} rows, a log of {size >> 20:,} MB")
    table.add_column("")
    table.add_column("rows a second", justify="right")
    for n, one in alone.items():
        table.add_row(f"session alone, {n} threads", f"{one:,.0f}")
    table.add_row(f"replay, {threads} threads", f"{rate:,.0f}")
    Console().print(table)
    Console().print(f"peak memory {before:,} MB before, {megabytes():,} MB after")
    if file is not None:
        packages = versions("tensorflow", "numpy")
        file.write_text(json.dumps({"versions": packages, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
