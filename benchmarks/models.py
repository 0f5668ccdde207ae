"""DIN end to end beside the same model of Keras's own layers, and the memory that Dice holds.

    python benchmarks/models.py --json models.json

- Training: examples per second of processor time, which waiting is no part of, of `fit` as Keras compiles it
  by default, and of a loop in graph mode.
- Memory: the peak of one training step through 8 Dice layers at 4096 x 1024, above what the process had
  before it, in a process of its own each.

The contestants run in turn in one process (but for the memory), and every figure is a median, that of
training with the least and the most.
"""

from __future__ import annotations

import functools
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import click
import keras
import tensorflow as tf
from layers import KerasDice, dien_dice
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from timing import spreads, versions

import tfnorm
from tfnorm.datasets import ClickLog, synthetic
from tfnorm.models import DIN

DEEP = (4096, 1024, 8)


def keras_layers(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer of Keras's own that stands for one of tfnorm's; others as they are."""
    if isinstance(layer, tfnorm.BatchNormalization):
        return keras.layers.BatchNormalization(name=layer.name)
    if isinstance(layer, tfnorm.Dice):
        return KerasDice(name=layer.name)
    return layer.__class__.from_config(layer.get_config())


def contestants(log: ClickLog) -> dict[str, keras.Model]:
    ours = DIN(item_count=log.item_count, category_count=log.category_count)
    return {"tfnorm": ours, "keras": keras.models.clone_model(ours, clone_function=keras_layers)}


def graph_loop(model: keras.Model):
    """A training step as people write it without `fit`, in graph mode without XLA."""
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.BinaryCrossentropy()

    @tf.function(reduce_retracing=True)
    def step(features, labels):
        with tf.GradientTape() as tape:
            loss = loss_of(labels[:, tf.newaxis], model(features, training=True))
        variables = [v.value for v in model.trainable_variables]
        optimizer.apply(tape.gradient(loss, variables), model.trainable_variables)
        return loss

    return step


def one_epoch(step, batches: tf.data.Dataset) -> None:
    for features, labels in batches:
        step(features, labels)


def training(
    log: ClickLog, rounds: int, progress: Progress
) -> dict[str, dict[str, dict[str, float]]]:
    batches = log.train.batches(256)
    fits, loops = {}, {}
    for name, model in contestants(log).items():
        model.compile("adam", "binary_crossentropy")
        fits[name] = lambda model=model: model.fit(batches, verbose=0, shuffle=False)
    for name, model in contestants(log).items():
        loops[name] = functools.partial(one_epoch, graph_loop(model), batches)
    return {
        way: {
            name: {
                "least": len(log.train) / took.most * 1e3,
                "median": len(log.train) / took.median * 1e3,
                "most": len(log.train) / took.least * 1e3,
            }
            for name, took in spreads(
                calls, rounds=rounds, progress=progress, clock=time.process_time
            ).items()
        }
        for way, calls in {"fit": fits, "graph loop": loops}.items()
    }


def one_deep_step(who: str, mode: str) -> None:
    """Print the megabytes that one training step through deep Dice adds to this process's peak."""
    rows, channels, depth = DEEP
    x = tf.random.normal((rows, channels))
    if who == "tfnorm":
        layers = [tfnorm.Dice() for _ in range(depth)]
        for layer in layers:
            layer.build(x.shape)
        runs = [lambda x, layer=layer: layer(x, training=True) for layer in layers]
        alphas = [layer.alpha.value for layer in layers]
    else:
        made = [dien_dice(x.shape) for _ in range(depth)]
        runs = [lambda x, run=run: run(x, True) for run, _ in made]
        alphas = [alpha for _, (alpha,) in made]

    @tf.function(jit_compile=mode == "xla", reduce_retracing=True)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for run in runs:
                y = run(y)
            loss = tf.reduce_sum(tf.square(y))
        return tape.gradient(loss, [x, *alphas])

    # What tracing and compilation need is there then, and is not counted.
    step(x[:256])
    if mode == "xla":
        step.experimental_get_compiler_ir(x)(stage="optimized_hlo")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(x)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def memory() -> dict[str, dict[str, float]]:
    def peak(who: str, mode: str) -> float:
        command = [sys.executable, __file__, "--deep-step", who, mode]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return {
        mode: {who: peak(who, mode) for who in ("tfnorm", "DIEN's formula")}
        for mode in ("graph", "xla")
    }


def print_tables(console: Console, results: dict) -> None:
    table = Table(
        "training", "tfnorm", "keras", "ratio", title="DIN, examples per second of processor time"
    )
    for way, found in results["training"].items():
        ratio = found["tfnorm"]["median"] / found["keras"]["median"]
        rates = (
            f"{r['median']:,.0f} ({r['least']:,.0f} to {r['most']:,.0f})" for r in found.values()
        )
        table.add_row(way, *rates, f"{ratio:.2f}")
    console.print(table)
    table = Table(
        "mode", "tfnorm", "DIEN's formula", "share", title="8 Dice layers, peak MB a step"
    )
    for mode, found in results["memory"].items():
        share = found["tfnorm"] / found["DIEN's formula"]
        table.add_row(mode, *(f"{found[w]:,.0f}" for w in found), f"{share:.2f}")
    console.print(table)


@click.command()
@click.option("--rounds", type=click.IntRange(5), default=5, show_default=True)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--deep-step", nargs=2, hidden=True)
def main(rounds: int, json_file: Path | None, deep_step: tuple[str, str] | None) -> None:
    """Time DIN end to end, and measure the memory of deep Dice."""
    if deep_step is not None:
        one_deep_step(*deep_step)
        return
    console = Console()
    log = synthetic(train_size=25_600, test_size=1_024)
    started = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        results = {
            "training": training(log, rounds, progress),
            "memory": memory(),
        }
    print_tables(console, results)
    console.print(f"in {time.monotonic() - started:.0f} s")
    if json_file is not None:
        packages = versions("tensorflow", "keras", "numpy")
        json_file.write_text(json.dumps({"versions": packages, **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
