"""Whether tfnorm is right on GPUs, and how fast: one table, and the figures as JSON.

    python benchmarks/gpu.py --json gpu.json
    python benchmarks/gpu.py --torch-python /path/to/python   # one that has torch for GPUs

- Statistics, outputs and gradients of BatchNormalization and Dice, op by op, in graph mode and under XLA,
  also where the mean is far from zero, beside NumPy in float64 on the same float32 values.
- The same under the policies mixed_float16 and mixed_bfloat16.
- A small epsilon: cuDNN takes none below 1e-5, so that Keras's layer, which calls it, can't have one.
- Synchronized layers under MirroredStrategy on all GPUs there are, beside one batch of all rows.
- Training steps of the layers beside Keras's, and DIN's training beside Keras and torch (`training.py`).

An error is the largest, over the largest that is right. A row of accuracy fails above its bar, and the exit
status is then 1. A figure of speed is the median of its rounds, with the least and the most. It takes some
five minutes; from the seventh on, what is left is left out. Without a GPU it says so, and exits with 0.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from timing import versions
from training import compared

import tfnorm

LAST_START = 400.0
"""Seconds after which no section begins."""
MODES: dict[str, Callable] = {
    "op by op": lambda step: step,
    "graph": lambda step: tf.function(step, autograph=False),
    "XLA": lambda step: tf.function(step, autograph=False, jit_compile=True),
}
LAYERS = {
    "BatchNormalization": (tfnorm.BatchNormalization, 1e-3),
    "Dice": (tfnorm.Dice, 1e-9),
}
ROWS, CHANNELS = 4096, 200
STEPPED = ((1024, 200), (8192, 200), (65536, 200))
ROUNDS, REPEATS = 7, 20


@dataclass(frozen=True)
class Row:
    """One line of the table: an error, or a figure of speed with its least and most."""

    what: str
    case: str
    value: float
    unit: str
    bar: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def passed(self) -> bool:
        # NaN fails.
        return self.bar is None or self.value <= self.bar


def drawn(mean: float, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(mean, 1.0, (rows, CHANNELS)).astype(np.float32)
    return x, generator.normal(size=x.shape).astype(np.float32)


def right(kind: str, x: np.ndarray, dy: np.ndarray, epsilon: float) -> dict[str, np.ndarray]:
    """Mean, variance, y and dx in float64, for gamma 1 and beta 0, or alpha 0.25."""
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    mean, variance = x.mean(0), x.var(0)
    r = 1 / np.sqrt(variance + epsilon)
    hat = (x - mean) * r
    if kind == "BatchNormalization":
        y, direct, through = hat, 0.0, dy
    else:
        p = 1 / (1 + np.exp(-hat))
        y = x * (0.25 + 0.75 * p)
        direct, through = dy * (0.25 + 0.75 * p), dy * 0.75 * x * p * (1 - p)
    dx = direct + r * (through - through.mean(0) - hat * (through * hat).mean(0))
    return {"mean": mean, "variance": variance, "y": y, "dx": dx}


def built(kind: str, **options: object) -> keras.layers.Layer:
    layer = LAYERS[kind][0](momentum=0.0, **options)
    layer.build((None, CHANNELS))
    if kind == "Dice":
        layer.alpha.assign(tf.fill([CHANNELS], 0.25))
    return layer


def step_of(layer: keras.layers.Layer) -> Callable:
    def step(x: tf.Tensor, dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return y, tape.gradient(y, x, tf.cast(dy, y.dtype))

    return step


def error(found: object, expected: np.ndarray) -> float:
    apart = np.abs(np.asarray(tf.cast(found, tf.float64)) - expected)
    return float(apart.max() / np.abs(expected).max())


def shown(layer: keras.layers.Layer, y: tf.Tensor, dx: tf.Tensor) -> dict[str, object]:
    """What a step gave; the momentum is 0, so that the moving statistics are the batch's."""
    return {"mean": layer.moving_mean, "variance": layer.moving_variance, "y": y, "dx": dx}


def accuracy() -> Iterator[Row]:
    for kind, (_, epsilon) in LAYERS.items():
        for mean in (0.0, 100.0, 10_000.0):
            x, dy = drawn(mean)
            expected = right(kind, x, dy, epsilon)
            for mode, wrap in MODES.items():
                layer = built(kind)
                found = shown(layer, *wrap(step_of(layer))(tf.constant(x), tf.constant(dy)))
                # A mean in float32 is right to half an ulp of it, by which all deviations are off.
                bar = 1e-5 + 2.0**-23 * mean
                for name, values in expected.items():
                    moved = error(found[name], values)
                    yield Row(f"{kind}: {name}", f"{mode}, mean {mean:g}", moved, "error", bar)


def half_precision() -> Iterator[Row]:
    x, dy = drawn(1.0)
    for kind, (_, epsilon) in LAYERS.items():
        for policy, kept, unit in (
            ("mixed_float16", tf.float16, 2.0**-10),
            ("mixed_bfloat16", tf.bfloat16, 2.0**-7),
        ):
            rounded = [np.asarray(tf.cast(tf.cast(v, kept), tf.float32)) for v in (x, dy)]
            expected = right(kind, *rounded, epsilon)
            for mode, wrap in MODES.items():
                layer = built(kind, dtype=policy)
                given = [tf.cast(v, kept) for v in (x, dy)]
                found = shown(layer, *wrap(step_of(layer))(*given))
                for name, values in expected.items():
                    bar = unit if name in ("y", "dx") else 1e-5
                    moved = error(found[name], values)
                    yield Row(f"{kind}: {name}", f"{mode}, {policy}", moved, "error", bar)


def small_epsilon() -> Iterator[Row]:
    x, dy = drawn(0.0)
    x *= np.float32(1e-3)
    # Keras normalizes images by cuDNN; both get the same values as one.
    image = x.reshape(ROWS // 64, 8, 8, CHANNELS)
    expected = right("BatchNormalization", x, dy, 1e-9)["y"].reshape(image.shape)
    for who, layer, bar in (
        ("tfnorm", tfnorm.BatchNormalization(epsilon=1e-9), 1e-5),
        ("Keras", keras.layers.BatchNormalization(epsilon=1e-9), None),
    ):
        y = tf.function(lambda v, layer=layer: layer(v, training=True))(tf.constant(image))
        yield Row(f"epsilon 1e-9, {who}: y", "variance 1e-6", error(y, expected), "error", bar)


def mirrored() -> Iterator[Row]:
    strategy = tf.distribute.MirroredStrategy()
    replicas = strategy.num_replicas_in_sync
    x, dy = drawn(100.0, ROWS * replicas)
    for kind, (_, epsilon) in LAYERS.items():
        expected = right(kind, x, dy, epsilon)
        with strategy.scope():
            layer = built(kind, synchronized=True)

        def part(of: np.ndarray) -> object:
            return strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(
                    np.split(of, replicas)[context.replica_id_in_sync_group]
                )
            )

        step = tf.function(step_of(layer), autograph=False)
        y, dx = strategy.run(step, args=(part(x), part(dy)))
        joined = [tf.concat(strategy.experimental_local_results(v), 0) for v in (y, dx)]
        for name, values in expected.items():
            moved = error(shown(layer, *joined)[name], values)
            yield Row(f"{kind}: {name}", f"synchronized on {replicas}", moved, "error", 3e-5)


def layer_speed() -> Iterator[Row]:
    for rows, channels in STEPPED:
        x, dy = (tf.random.normal((rows, channels)) for _ in range(2))
        for mode in ("graph", "XLA"):
            steps = {}
            for who, layer in (
                ("tfnorm.BatchNormalization", tfnorm.BatchNormalization()),
                ("keras BatchNormalization", keras.layers.BatchNormalization()),
                ("tfnorm.Dice", tfnorm.Dice()),
            ):
                layer.build((None, channels))
                steps[who] = MODES[mode](step_of(layer))
                for _ in range(3):
                    steps[who](x, dy)
            times: dict[str, list[float]] = {who: [] for who in steps}
            for _ in range(ROUNDS):
                for who, step in steps.items():
                    start = time.perf_counter()
                    for _ in range(REPEATS):
                        _, dx = step(x, dy)
                    # What is queued is done once its last result is here.
                    dx[:1].numpy()
                    times[who].append((time.perf_counter() - start) / REPEATS * 1e3)
            for who, of in times.items():
                yield _speed(who, f"a step, {mode}, {rows} x {channels}", of, "ms")


def din_speed(torch_python: str) -> Iterator[Row]:
    found = compared(["tfnorm", "keras", "torch", "torch.compile"], 100_000, 1024, 5, torch_python)
    for who, clocks in found.items():
        wall = clocks["wall"]
        case, rate = "DIN, 1024 a batch", "examples/s"
        yield Row(who, case, wall["median"], rate, least=wall["least"], most=wall["most"])


def _speed(what: str, case: str, values: list[float], unit: str) -> Row:
    middle = statistics.median(values)
    return Row(what, case, middle, unit, least=min(values), most=max(values))


def table_of(rows: list[Row]) -> Table:
    table = Table("what", "case", "value", "bar, or least to most", "")
    for row in rows:
        if row.unit == "error":
            limit = "" if row.bar is None else f"{row.bar:.1e}"
            said = "" if row.bar is None else "passed" if row.passed else "FAILED"
            table.add_row(row.what, row.case, f"{row.value:.1e}", limit, said)
        else:
            span = f"{row.least:,.2f} to {row.most:,.2f} {row.unit}"
            table.add_row(row.what, row.case, f"{row.value:,.2f}", span, "")
    return table


@click.command()
@click.option("--torch-python", default=sys.executable, help="A Python that has torch.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(torch_python: str, json_file: Path | None) -> None:
    """Check tfnorm's layers on the GPUs of this machine, and time them."""
    console = Console()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        console.print("there is no GPU that TensorFlow sees here, so nothing was measured")
        return
    for gpu in gpus:
        # The processes that are compared share it.
        tf.config.experimental.set_memory_growth(gpu, True)
    began, rows, left_out = time.monotonic(), [], []
    for name, section in {
        "accuracy": accuracy,
        "half precision": half_precision,
        "small epsilon": small_epsilon,
        "MirroredStrategy": mirrored,
        "layers' speed": layer_speed,
        "DIN's speed": lambda: din_speed(torch_python),
    }.items():
        if time.monotonic() - began > LAST_START:
            left_out.append(name)
        else:
            rows += section()
    console.print(table_of(rows))
    for name in left_out:
        console.print(f"left out, for it took {LAST_START:g} s up to there: {name}")
    report = {
        "versions": versions("tensorflow", "keras", "torch", "numpy"),
        "gpus": [tf.config.experimental.get_device_details(gpu) for gpu in gpus],
        "left_out": left_out,
        "rows": [asdict(row) | {"passed": row.passed} for row in rows],
    }
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n")
    if not all(row.passed for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
