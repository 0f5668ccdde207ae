"""How long a training step takes beside that of an earlier commit, both in one process.

    python benchmarks/before.py 4688339
    python benchmarks/before.py HEAD~10 --shape 256x80 --mode xla

The earlier layers come out of git into a folder of their own. Each figure is the median, with the least and
the most, over repetitions of the median over rounds, in which all three run in turn: the processor time of
now over that of before, and both over Keras's. Where others use the machine, `taskset -c 1` steadies them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from layers import KerasDice, call_of, keras_run, parsed_shape
from packages import ROOT, unpack
from rich.console import Console
from rich.table import Table
from timing import medians, spread_of

LAYERS = ("BatchNormalization", "Dice")
SHAPES = ("256x80", "1024x200", "8192x200", "4096x1024")


def layers_of(folder: Path) -> dict[str, Callable[[], keras.layers.Layer]]:
    """The layers of the package in `folder`, whatever was imported before."""
    for name in [name for name in sys.modules if name.split(".")[0] == "tfnorm"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        from tfnorm import layers
    finally:
        sys.path.remove(str(folder))
    assert Path(layers.__file__).is_relative_to(folder)
    return {name: getattr(layers, name) for name in LAYERS}


def ratios(makes: dict[str, Callable], shape: tuple[int, ...], mode: str, rounds: int) -> list:
    rng = np.random.default_rng(0)
    x, dy = (tf.constant(rng.standard_normal(shape), tf.float32) for _ in range(2))
    runs = {name: keras_run(make(), shape) for name, make in makes.items()}
    calls = {name: call_of(*run, mode, "train", x, dy) for name, run in runs.items()}
    times = medians(calls, rounds=rounds, clock=time.process_time)
    pairs = (("now", "before"), ("now", "keras"), ("before", "keras"))
    return [times[one] / times[other] for one, other in pairs]


@click.command()
@click.argument("commit")
@click.option("--shape", "shapes", multiple=True, default=SHAPES, callback=parsed_shape)
@click.option("--mode", "modes", type=click.Choice(["graph", "xla"]), multiple=True)
@click.option("--rounds", type=click.IntRange(3), default=25, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(commit: str, shapes, modes, rounds: int, repeats: int) -> None:
    """Time a training step of the layers as they are and as they were at COMMIT."""
    table = Table("layer", "mode", "shape", "now / before", "now / Keras", "before / Keras")
    with tempfile.TemporaryDirectory() as folder:
        unpack(commit, Path(folder))
        was, now = layers_of(Path(folder)), layers_of(ROOT)
        peers = {"BatchNormalization": keras.layers.BatchNormalization, "Dice": KerasDice}
        for name in LAYERS:
            makes = {"before": was[name], "now": now[name], "keras": peers[name]}
            for mode in modes or ("graph", "xla"):
                for shape in shapes:
                    found = [ratios(makes, shape, mode, rounds) for _ in range(repeats)]
                    cells = [spread_of(each).shown(2) for each in zip(*found, strict=True)]
                    table.add_row(name, mode, " x ".join(map(str, shape)), *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
