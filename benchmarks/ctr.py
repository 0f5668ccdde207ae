"""BaseModel, DIN and DIEN on Amazon reviews, right and with both pitfalls: AUC by batch size.

    python benchmarks/ctr.py run --data-dir data/amazon
    python benchmarks/ctr.py report
    python benchmarks/ctr.py epoch --data-dir data/amazon

`run` trains each model with Dice and with PReLU, with BatchNormalization and without, on Beauty and on
Toys_and_Games, with three seeds, and DIN with six sizes of embeddings. It trains with LazyAdam, and the
right DIN and DIEN on Beauty once more with Keras's Adam, to tell what the optimizer changes. DIEN's
negatives are drawn anew for each epoch, uniformly. A training is a line in
`benchmarks/results/ctr.jsonl` as soon as it is done; those that are there are not repeated.
`report` makes the tables and the plots of it, the table of README.md among them. `epoch` times an epoch of
DIN, of the same model of Keras's own layers and of DIEN, by turns.

One training gives several rows, because the pitfalls don't change training: a Dice with the batch's
statistics and a BatchNormalization that is never updated train exactly as the right ones do. They only
score differently. So the rows are ways to score the same weights:

- Dice: with its moving statistics ("Dice"), or with those of the batch ("Dice, batch statistics");
- BatchNormalization: with its moving statistics ("updated"), or with 0 and 1, which is what they start
  from ("never updated").

What comes before the tower has nothing of the batch, and is computed once. The test examples are in the
same random order for all. That the scores of the right model don't move is measured on the model itself,
in batches of 1, 16, 128 and 1,024 of the same 512 examples. The seed decides the negatives, the weights
and the order of training.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from ctr_grid import (
    BATCH_SIZES,
    CATEGORIES,
    MODELS,
    RESULTS,
    WATCHED,
    Training,
    read,
    trainings,
)
from models import keras_layers
from timing import versions

import tfnorm
from tfnorm.datasets import ClickLog, Examples, amazon, as_logs, with_negatives
from tfnorm.metrics import auc, gauc
from tfnorm.models import DIEN, DIN
from tfnorm.training import LazyAdam, Negatives


def make_model(training: Training, log: ClickLog) -> keras.Model:
    options = {
        "item_count": log.item_count,
        "category_count": log.category_count,
        "embedding_size": training.embedding_size,
        "activation": training.activation,
        "batch_normalization": training.batch_normalization,
    }
    if training.model == "DIEN":
        return DIEN(**options)
    return DIN(**options, attention=training.model == "DIN")


def trained(training: Training, log: ClickLog) -> keras.Model:
    keras.utils.set_random_seed(training.seed)
    model = make_model(training, log)
    optimizer = LazyAdam if training.optimizer == "lazy_adam" else keras.optimizers.Adam
    model.compile(optimizer(1e-3), "binary_crossentropy")
    model.optimizer.build(model.trainable_variables)
    examples, _ = as_logs(log)
    batches = examples.batches(
        256,
        shuffle_seed=training.seed,
        buffer=len(examples),
        change=Negatives(examples, seed=training.seed) if training.model == "DIEN" else None,
    )
    model.fit(batches, epochs=training.epochs, shuffle=False, verbose=0)
    return model


def shuffled(examples: Examples) -> Examples:
    """The same random order for everyone: a user's two examples must not be neighbours."""
    return chosen(examples, np.random.default_rng(0).permutation(len(examples)))


def tower_scores(
    model: keras.Model, x: np.ndarray, size: int, *, updated: bool, batch_dice: bool
) -> np.ndarray:
    """Score the tower's inputs `[N, D]` in batches of that size, in the given way."""
    whole = len(x) // size * size
    parts = [x[:whole].reshape(-1, size, x.shape[1]), x[None, whole:]]
    ways = {"updated": updated, "batch_dice": batch_dice}
    return np.concatenate(
        [_scores(model, tf.constant(part), **ways).numpy().ravel() for part in parts if part.size]
    )


def _scores(model: keras.Model, x: tf.Tensor, *, updated: bool, batch_dice: bool) -> tf.Tensor:
    """The tower over batches `[G, N, D]`, each on its own."""
    start = next(i for i, layer in enumerate(model.layers) if layer.name == "interest")
    for layer in model.layers[start + 1 :]:
        if isinstance(layer, tfnorm.BatchNormalization):
            mean, variance = layer.moving_mean, layer.moving_variance
            if not updated:
                mean, variance = tf.zeros_like(mean), tf.ones_like(variance)
            x = (x - mean) * tf.math.rsqrt(variance + layer.epsilon) * layer.gamma + layer.beta
        elif isinstance(layer, tfnorm.Dice):
            mean, variance = layer.moving_mean, layer.moving_variance
            if batch_dice:
                mean, variance = tf.nn.moments(x, axes=1, keepdims=True)
            p = tf.sigmoid((x - mean) * tf.math.rsqrt(variance + layer.epsilon))
            x = p * x + (1 - p) * layer.alpha * x
        elif isinstance(layer, keras.layers.PReLU):
            # Keras's layer takes the second axis of `[G, N, D]` for a part of the input's shape.
            x = tf.nn.relu(x) - layer.alpha * tf.nn.relu(-x)
        else:
            x = layer(x)
    return x


def largest_move(model: keras.Model, examples: Examples) -> float:
    """By how much a score of the model itself moves with the size of its batch."""
    features = {name: column[:WATCHED] for name, column in examples.features.items()}
    score = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    found = [
        np.concatenate(
            [
                score({name: tf.constant(c[i : i + size]) for name, c in features.items()})
                for i in range(0, WATCHED, size)
            ]
        )
        for size in BATCH_SIZES
    ]
    return float(max(np.abs(scores - found[0]).max() for scores in found[1:]))


def figures(training: Training, model: keras.Model, test: Examples) -> Iterator[dict]:
    """AUC and GAUC of each way to score, at each batch size."""
    before = keras.Model(model.input, model.get_layer("interest").output)
    x = before.predict(test.batches(1024), verbose=0)
    agreed = model.predict(test.batches(1024), verbose=0)[:, 0]
    right = tower_scores(model, x, 1024, updated=True, batch_dice=False)
    np.testing.assert_allclose(right, agreed, atol=1e-5)
    dices = (False, True) if training.activation == "dice" else (False,)
    for batch_dice in dices:
        for updated in (True, False) if training.batch_normalization else (True,):
            for size in BATCH_SIZES:
                scores = tower_scores(model, x, size, updated=updated, batch_dice=batch_dice)
                yield {
                    "activation": activation_name(training.activation, batch_dice),
                    "normalization": normalization_name(training.batch_normalization, updated),
                    "batch_size": size,
                    "auc": auc(test.labels, scores),
                    "gauc": gauc(test.labels, scores, test.users),
                }


def activation_name(activation: str, batch_statistics: bool) -> str:
    if activation == "prelu":
        return "PReLU"
    return "Dice, batch statistics" if batch_statistics else "Dice"


def normalization_name(there: bool, updated: bool) -> str:
    return ("updated" if updated else "never updated") if there else "absent"


@click.group()
def main() -> None:
    """Train and score BaseModel, DIN and DIEN on Amazon reviews."""


_data_dir = click.option(
    "--data-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True
)
_results = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    help="The folder of results.  [default: benchmarks/results]",
)


@main.command()
@_data_dir
@_results
@click.option("--model", "models", type=click.Choice(MODELS), multiple=True, default=MODELS)
@click.option(
    "--category", "categories", type=click.Choice(CATEGORIES), multiple=True, default=CATEGORIES
)
def run(data_dir: Path, results: Path, models: tuple[str, ...], categories: tuple[str, ...]):
    """Train what is not in the results yet."""
    results.mkdir(parents=True, exist_ok=True)
    file = results / "ctr.jsonl"
    done = [Training(**line["training"]) for line in read(file)]
    missing = [
        training
        for training in dict.fromkeys(trainings())
        if training not in done and training.model in models and training.category in categories
    ]
    logs: dict[tuple[str, int], ClickLog] = {}
    for i, training in enumerate(missing, start=1):
        of_log = (training.category, training.seed)
        if of_log not in logs:
            logs[of_log] = amazon(data_dir, training.category, seed=training.seed)
        log = logs[of_log]
        keras.backend.clear_session()
        started, cpu = time.monotonic(), time.process_time()
        model = trained(training, log)
        seconds = {
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
        }
        test = shuffled(log.test)
        line = {
            "training": asdict(training),
            "epochs": training.epochs,
            **seconds,
            "largest_move": largest_move(model, test),
            "figures": list(figures(training, model, test)),
            "command": command(),
            "versions": versions("tensorflow", "keras", "numpy"),
        }
        with file.open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        right = line["figures"][0]["auc"]
        print(f"{i}/{len(missing)} {training} {seconds} AUC {right:.4f}", flush=True)


def command() -> str:
    """How to make the same again; where the data lie is everyone's own business."""
    given = sys.argv[1:]
    if "--data-dir" in given:
        given[given.index("--data-dir") + 1] = "data/amazon"
    return shlex.join(["python", "benchmarks/ctr.py", *given])


@main.command()
@_results
def report(results: Path) -> None:
    """Make the tables and the plots of what has been trained."""
    from ctr_report import plot_batch_sizes, plot_embedding_sizes, tables

    lines = read(results / "ctr.jsonl")
    if not lines:
        raise click.ClickException(f"{results / 'ctr.jsonl'} has no trainings yet")
    text = tables(lines)
    (results / "ctr.md").write_text(text + "\n")
    plot_batch_sizes(lines, results / "ctr_batch_sizes.png")
    plot_embedding_sizes(lines, results / "ctr_embedding_sizes.png")
    print(text)


@main.command()
@_data_dir
@_results
@click.option("--parts", type=click.IntRange(2), default=12, show_default=True)
def epoch(data_dir: Path, results: Path, parts: int) -> None:
    """Time an epoch on Beauty: DIN, the same of Keras's own layers, and DIEN.

    The epoch is cut into parts. Each contestant trains on a part before the next one begins, in another
    order every time, so that what else the machine does falls on all of them.
    """
    log = amazon(data_dir, "Beauty")
    din = DIN(item_count=log.item_count, category_count=log.category_count)
    contestants = {
        "DIN": (din, log.train),
        "DIN of Keras's layers": (
            keras.models.clone_model(din, clone_function=keras_layers),
            log.train,
        ),
        "DIEN": (
            DIEN(item_count=log.item_count, category_count=log.category_count),
            with_negatives(log.train),
        ),
    }
    cuts = np.linspace(0, len(log.train) // 256, parts + 1).round().astype(int) * 256
    cuts[-1] = len(log.train)
    rows = np.random.default_rng(0).permutation(len(log.train))
    batches = {
        name: [chosen(examples, rows[a:b]).batches(256) for a, b in pairwise(cuts)]
        for name, (_, examples) in contestants.items()
    }
    for name, (model, _) in contestants.items():
        model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
        # Compiled before it is timed, for both sizes of batch.
        for part in (batches[name][0].take(2), batches[name][-1].skip(len(batches[name][-1]) - 1)):
            model.fit(part, shuffle=False, verbose=0)
    times = {name: {"seconds": [], "cpu_seconds": []} for name in contestants}
    order = np.random.default_rng(1)
    for part in range(parts):
        for name in order.permutation(list(contestants)):
            started, cpu = time.perf_counter(), time.process_time()
            contestants[name][0].fit(batches[name][part], shuffle=False, verbose=0)
            times[name]["seconds"].append(time.perf_counter() - started)
            times[name]["cpu_seconds"].append(time.process_time() - cpu)
    epochs = {
        name: {clock: round(sum(taken), 1) for clock, taken in clocks.items()}
        for name, clocks in times.items()
    }
    found = {
        "examples": len(log.train),
        "batch_size": 256,
        "parts": parts,
        "epoch": epochs,
        "ratio": {
            clock: epochs["DIN"][clock] / epochs["DIN of Keras's layers"][clock]
            for clock in ("seconds", "cpu_seconds")
        },
        "median_ratio_of_parts": {
            clock: float(
                np.median(np.divide(times["DIN"][clock], times["DIN of Keras's layers"][clock]))
            )
            for clock in ("seconds", "cpu_seconds")
        },
        "command": command(),
        "versions": versions("tensorflow", "keras", "numpy"),
    }
    results.mkdir(parents=True, exist_ok=True)
    (results / "ctr_epoch.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def chosen(examples: Examples, rows: np.ndarray) -> Examples:
    features = {name: column[rows] for name, column in examples.features.items()}
    return Examples(features, examples.labels[rows], examples.users[rows])


if __name__ == "__main__":
    main()
