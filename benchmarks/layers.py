"""How long tfnorm's layers take beside their peers, and beside the memory traffic that none can avoid.

    taskset -c 1 python benchmarks/layers.py --torch-python /path/to/python --json layers.json
    taskset -c 1 python benchmarks/layers.py --shape 4096x1024 --mode graph --work train

All contestants of a case run in turn, torch's in processes of their own; a run's time is the median over the
rounds, of processor time, so that what else the machine does counts little. A case is run several times,
each traced and compiled anew; shown is the median of the runs, with the least and the most. The floor is the
bytes that must move (forward: x in, y out; forward plus backward: x in, y out, x and dy in, dx out) at the
speed of a copy of the same tensor by as many threads as there are cores, measured in the same rounds. A ratio
is the peer's time over tfnorm's: above 1, tfnorm is faster.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from timing import Spread, copier, medians, spread_of, versions

import tfnorm

SHAPES = (
    (256, 80),
    (1024, 200),
    (8192, 200),
    (4096, 1024),
    (256, 100, 36),
    (32, 28, 28, 64),
)
MODES = ("graph", "xla", "eager")
# What is timed, and how many times a tensor of the input's size must cross the memory bus for it.
WORKS = {"inference": 2, "forward": 2, "train": 5}
CORES = len(os.sched_getaffinity(0))

Run = Callable[[tf.Tensor, bool], tf.Tensor]


def keras_run(layer: keras.layers.Layer, shape: tuple[int, ...]) -> tuple[Run, list[tf.Variable]]:
    layer.build((None, *shape[1:]))

    def run(x: tf.Tensor, training: bool) -> tf.Tensor:
        return layer(x, training=training)

    return run, [v.value for v in layer.trainable_variables]


class KerasDice(keras.layers.Layer):
    """Dice as people build it of Keras's parts."""

    def build(self, shape) -> None:
        self.normalize = keras.layers.BatchNormalization(epsilon=1e-9, center=False, scale=False)
        self.normalize.build(shape)
        self.alpha = self.add_weight(shape=shape[-1:], initializer="zeros", name="alpha")

    def call(self, x, training=None, mask=None):
        p = keras.ops.sigmoid(self.normalize(x, training=training, mask=mask))
        return p * x + (1 - p) * self.alpha * x


def dien_dice(shape: tuple[int, ...]) -> tuple[Run, list[tf.Variable]]:
    """The formula of the DIEN authors' code, which has the batch's statistics at inference too."""
    alpha = tf.Variable(tf.zeros(shape[-1]))
    axes = list(range(len(shape) - 1))

    def run(x: tf.Tensor, training: bool) -> tf.Tensor:
        mean = tf.reduce_mean(x, axes, keepdims=True)
        spread = tf.sqrt(tf.reduce_mean(tf.square(x - mean) + 1e-9, axes, keepdims=True))
        p = tf.sigmoid((x - mean) / (spread + 1e-9))
        return alpha * (1.0 - p) * x + p * x

    return run, [alpha]


def fused_kernel(shape: tuple[int, ...]) -> tuple[Run, list[tf.Variable]]:
    channels = shape[-1]
    gamma, beta = tf.Variable(tf.ones(channels)), tf.Variable(tf.zeros(channels))

    def run(x: tf.Tensor, training: bool) -> tf.Tensor:
        flat = tf.reshape(x, (-1, 1, 1, channels))
        given = {} if training else {"mean": beta, "variance": gamma}
        y, _, _ = tf.compat.v1.nn.fused_batch_norm(flat, gamma, beta, is_training=training, **given)
        return tf.reshape(y, tf.shape(x))

    return run, [gamma, beta]


def sonnet_norm(shape: tuple[int, ...]) -> tuple[Run, list[tf.Variable]]:
    import sonnet

    norm = sonnet.BatchNorm(create_scale=True, create_offset=True)
    norm(tf.zeros((2, *shape[1:])), is_training=True)
    return (
        lambda x, training: norm(x, is_training=training, test_local_stats=False),
        list(norm.trainable_variables),
    )


def tensorflow_peers(layer: str, shape: tuple[int, ...]) -> dict[str, tuple[Run, list]]:
    if layer == "BatchNormalization":
        peers = {
            "tfnorm": keras_run(tfnorm.BatchNormalization(), shape),
            "keras": keras_run(keras.layers.BatchNormalization(), shape),
            "fused kernel": fused_kernel(shape),
        }
        if importlib.util.find_spec("sonnet"):
            peers["sonnet"] = sonnet_norm(shape)
        return peers
    return {
        "tfnorm": keras_run(tfnorm.Dice(), shape),
        "DIEN's formula": dien_dice(shape),
        "keras-built": keras_run(KerasDice(), shape),
    }


def call_of(run: Run, variables: list, mode: str, work: str, x, dy) -> Callable[[], object]:
    def step(x: tf.Tensor, dy: tf.Tensor):
        if work != "train":
            return run(x, work == "forward")
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = run(x, True)
        return y, tape.gradient(y, [x, *variables], dy)

    if mode != "eager":
        signature = [tf.TensorSpec((None, *x.shape[1:]))] * 2
        step = tf.function(step, jit_compile=mode == "xla", input_signature=signature)
    return lambda: step(x, dy)


class TorchLayer:
    """A layer of torch's, in its own process."""

    def __init__(self, python: str, who: str, layer: str, shape: tuple[int, ...], work: str):
        script = Path(__file__).with_name("torch_layers.py")
        case = (who, layer, "x".join(map(str, shape)), work)
        self._process = subprocess.Popen(
            [python, str(script), *case],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout.readline() != "ready\n":
            raise click.ClickException(f"{python} can't time {who}; name one by --torch-python")

    def __call__(self) -> float:
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def measured(
    layer: str,
    shape: tuple[int, ...],
    mode: str,
    work: str,
    rounds: int,
    torch: str | None,
    progress,
) -> dict[str, float]:
    """The median over the rounds of each contestant, in milliseconds of processor time."""
    rng = np.random.default_rng(0)
    x, dy = (tf.constant(rng.standard_normal(shape), tf.float32) for _ in range(2))
    calls = {
        name: call_of(run, variables, mode, work, x, dy)
        for name, (run, variables) in tensorflow_peers(layer, shape).items()
    }
    calls["copy"] = copier(int(np.prod(shape)), CORES)
    elsewhere = {}
    with contextlib.ExitStack() as processes:
        for who in () if torch is None else ("torch", "torch.compile"):
            one = elsewhere[who] = TorchLayer(torch, who, layer, shape, work)
            processes.callback(one.close)
        times = medians(
            calls, rounds=rounds, clock=time.process_time, elsewhere=elsewhere, progress=progress
        )
    times["floor"] = times.pop("copy") * WORKS[work] / 2
    return times


def case_of(layer: str, shape: tuple[int, ...], mode: str, work: str, runs: list[dict]) -> dict:
    """What several runs of `measured` come to: of each figure the median, with the least and the most."""
    ratios = {
        name: spread_of([run[name] / run["tfnorm"] for run in runs])._asdict()
        for name in runs[0]
        if name != "tfnorm"
    }
    return {
        "layer": layer,
        "shape": list(shape),
        "mode": mode,
        "work": work,
        "milliseconds": {
            name: spread_of([run[name] for run in runs])._asdict() for name in runs[0]
        },
        "ratios": ratios,
    }


def table_of(layer: str, work: str, cases: list[dict]) -> Table:
    peers = list(dict.fromkeys(name for case in cases for name in case["ratios"]))
    title = f"{layer}, {work}: tfnorm's milliseconds, and each peer's time over tfnorm's"
    table = Table("shape", "mode", "tfnorm", *peers, title=title, title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for case in cases:
        ratios = (
            Spread(**case["ratios"][p]).shown(2) if p in case["ratios"] else "" for p in peers
        )
        shape = " x ".join(map(str, case["shape"]))
        table.add_row(
            shape, case["mode"], Spread(**case["milliseconds"]["tfnorm"]).shown(3), *ratios
        )
    return table


def parsed_shape(context, option, values: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    try:
        return tuple(tuple(int(n) for n in value.split("x")) for value in values) or SHAPES
    except ValueError as error:
        raise click.BadParameter("accepted: numbers joined by x, such as 4096x1024") from error


@click.command()
@click.option("--layer", type=click.Choice(["BatchNormalization", "Dice"]), multiple=True)
@click.option("--shape", "shapes", multiple=True, callback=parsed_shape)
@click.option("--mode", "modes", type=click.Choice(MODES), multiple=True)
@click.option("--work", "works", type=click.Choice(list(WORKS)), multiple=True)
@click.option("--rounds", type=click.IntRange(5), default=11, show_default=True)
@click.option("--runs", type=click.IntRange(3), default=3, show_default=True)
@click.option("--torch-python", help="A Python that has torch; without it torch is left out.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(layer, shapes, modes, works, rounds, runs, torch_python, json_file) -> None:
    """Time the layers beside their peers."""
    console = Console(width=200)
    results = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in layer or ("BatchNormalization", "Dice"):
            for work in works or WORKS:
                cases = [(shape, mode) for shape in shapes for mode in modes or MODES]
                task = progress.add_task(f"{name}, {work}", total=len(cases))
                found = []
                for shape, mode in cases:
                    times = [
                        measured(name, shape, mode, work, rounds, torch_python, progress)
                        for _ in range(runs)
                    ]
                    found.append(case_of(name, shape, mode, work, times))
                    progress.advance(task)
                progress.remove_task(task)
                console.print(table_of(name, work, found))
                results += found
    if json_file is not None:
        packages = versions("tensorflow", "keras", "dm-sonnet", "numpy")
        measure = {"cores": CORES, "rounds": rounds, "runs": runs}
        report = {"versions": packages, **measure, "cases": results}
        json_file.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
