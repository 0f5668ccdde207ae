"""What a training step of a layer is made of: each part timed as a call of its own.

    taskset -c 1 python benchmarks/parts.py
    taskset -c 1 python benchmarks/parts.py --shape 8192x200

`call` is a call that reads x and dy and writes two tensors of their size, and does nothing else: no step can
take less. `statistics` are the mean and the variance; `forward` is those and the output; `sums` are those
of the gradient; `backward` is them and the gradient. Each is compiled by XLA. `step` is the layer itself,
forward, backward and moving statistics, in one function that XLA compiles, or in graph mode. Milliseconds of
processor time: a run's is the median of rounds in which all run in turn; shown is the median of several
runs, each traced and compiled anew, with the least and the most.
"""

from __future__ import annotations

import time

import click
import numpy as np
import tensorflow as tf
from layers import call_of, keras_run, parsed_shape
from rich.console import Console
from rich.progress import track
from rich.table import Table
from timing import medians, spread_of

import tfnorm
from tfnorm.ops.batch_normalization import normalize, normalize_gradient
from tfnorm.ops.dice import rectify, rectify_gradient
from tfnorm.ops.loops import _LARGE, Loops
from tfnorm.ops.moments import Exact, flat_moments

PARTS = ("call", "statistics", "forward", "sums", "backward", "step, XLA", "step, graph")


def parts_of(layer: type, shape: tuple[int, ...]) -> dict:
    flat = (int(np.prod(shape[:-1])), shape[-1])
    x, dy = (tf.random.normal(flat) for _ in range(2))
    own, gamma = flat_moments(x), tf.ones(flat[1])
    sums = Loops if tf.size(x) >= _LARGE else Exact
    if layer is tfnorm.Dice:
        forward = lambda x, dy: rectify(sums, x, gamma, None, 1e-9)  # noqa: E731
        backward = lambda x, dy: rectify_gradient(sums, dy, x, gamma, own, None, 1e-9)  # noqa: E731
    else:
        forward = lambda x, dy: normalize(sums, x, gamma, gamma, None, 1e-3)  # noqa: E731
        backward = lambda x, dy: normalize_gradient(sums, dy, x, gamma, gamma, own, None, 1e-3)  # noqa: E731
    pieces = {
        "call": lambda x, dy: (2 * x, 2 * dy),
        "statistics": lambda x, dy: flat_moments(x, None, sums),
        "forward": forward,
        # XLA leaves out what makes the first result alone.
        "sums": lambda x, dy: backward(x, dy)[1:],
        "backward": backward,
    }
    compiled = {
        name: tf.function(piece, jit_compile=True, autograph=False)
        for name, piece in pieces.items()
    }
    calls = {name: lambda run=run: run(x, dy) for name, run in compiled.items()}
    for mode in ("xla", "graph"):
        run, variables = keras_run(layer(), flat)
        name = "step, XLA" if mode == "xla" else "step, graph"
        calls[name] = call_of(run, variables, mode, "train", x, dy)
    return calls


@click.command()
@click.option("--shape", "shapes", multiple=True, callback=parsed_shape)
@click.option("--rounds", type=click.IntRange(5), default=11, show_default=True)
@click.option("--runs", type=click.IntRange(3), default=3, show_default=True)
def main(shapes, rounds, runs) -> None:
    """Time the parts of a training step."""
    console = Console(width=200)
    table = Table("layer", "shape", *PARTS, title="milliseconds")
    cases = [
        (layer, shape) for layer in (tfnorm.BatchNormalization, tfnorm.Dice) for shape in shapes
    ]
    for layer, shape in track(cases, console=Console(stderr=True), transient=True):
        times = [
            medians(parts_of(layer, shape), rounds=rounds, clock=time.process_time)
            for _ in range(runs)
        ]
        shown = (spread_of([run[part] for run in times]).shown(2) for part in PARTS)
        table.add_row(layer.__name__, " x ".join(map(str, shape)), *shown)
    console.print(table)


if __name__ == "__main__":
    main()
