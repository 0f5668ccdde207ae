"""Which trained models the export's gate refuses, by how long they trained and how many examples it has.

    python benchmarks/statistics_gate.py --json gate.json
    python benchmarks/statistics_gate.py --kind log-normal --steps 1500

Each kind of model is trained with its layers' defaults (momentum 0.99) in batches of 128, and looked at on
its way: after fewer than 200 steps, where its statistics still hold a seventh or more of their initial
values, the gate should refuse it; after 1,200 it must not, whatever the number of examples.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import tfnorm
from tfnorm.datasets import synthetic
from tfnorm.export.tracing.interface import interface
from tfnorm.statistics.fit import statistics_fit
from tfnorm.statistics.results import StatisticsFit

SHORT = (60, 120, 190)
"""Steps of a training whose statistics are not to be served."""

ROWS = (64, 256, 1024, 4096)
BATCH = 128

Arrays = dict[str, np.ndarray]
Normalization = Callable[[], keras.layers.Layer]
Case = tuple[keras.Model, Callable[[int], tuple[Arrays, np.ndarray]], Arrays]


def columns(kind: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 12 columns and labels that depend on what the columns were made of."""
    z = rng.normal(size=(count, 12))
    x = {
        "plain": lambda: z * np.geomspace(0.1, 10, 12) + np.linspace(-3, 3, 12),
        "log-normal": lambda: np.exp(1.2 * z) * 3,
        "flags": lambda: np.concatenate([z[:, :6], rng.random((count, 6)) < 0.01], axis=1),
        "heavy tails": lambda: z / np.sqrt(rng.chisquare(2.5, size=z.shape) / 2.5),
        "dead and constant": lambda: np.concatenate(
            [z[:, :6], np.zeros((count, 3)), np.full((count, 3), 7.0)], axis=1
        ),
        "ids and dates": lambda: np.concatenate(
            [
                z[:, :6],
                np.floor(1e9 / (1 + 1e4 * rng.random((count, 3)))),
                20240101.0 + rng.integers(0, 1000, (count, 3)),
            ],
            axis=1,
        ),
    }[kind]()
    chance = 1 / (1 + np.exp(-(z[:, 0] + z[:, 1] * z[:, 2])))
    return x.astype("float32"), (rng.random(count) < chance).astype("float32")


def tower(kind: str, layers: int, hidden: Callable[[], list[keras.layers.Layer]]) -> Case:
    """Dense layers over columns, which are normalized first."""
    inputs = keras.Input((12,), name="x")
    x = keras.layers.BatchNormalization()(inputs)
    for i in range(layers):
        x = keras.layers.Dense(64 if i == 0 else 32)(x)
        for layer in hidden():
            x = layer(x)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))

    def drawn(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        x, y = columns(kind, count, rng)
        return {"x": x}, y

    return model, drawn


def pictures(hidden: Callable[[], list[keras.layers.Layer]]) -> Case:
    """Convolutions over bars of other widths and brightness."""
    inputs = keras.Input((12, 12, 1), name="x")
    x = inputs
    for filters in (8, 16):
        x = keras.layers.Conv2D(filters, 3, padding="same", strides=2)(x)
        for layer in hidden():
            x = layer(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))

    def drawn(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        y = rng.integers(0, 2, count)
        at = rng.integers(0, 10, count)
        x = 0.3 * rng.normal(size=(count, 12, 12, 1))
        bright = rng.exponential(size=count)
        for i in range(count):
            bar = x[i, at[i] : at[i] + 2] if y[i] else x[i, :, at[i] : at[i] + 2]
            bar += bright[i]
        return {"x": x.astype("float32")}, y.astype("float32")

    return model, drawn


def ranker(make: Callable[..., keras.Model], **options: Any) -> Case:
    """A model of the library over the synthetic click log."""
    log = synthetic(train_size=40_000, test_size=5_000)
    model = make(log.item_count, log.category_count, embedding_size=8, **options)
    order = np.random.default_rng(0).permutation(len(log.train.labels))

    def drawn(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        split, rows = (log.test, np.arange(count)) if count <= max(ROWS) else (log.train, order)
        rows = rng.permutation(len(split.labels))[:count] if split is log.test else rows
        return {k: v[rows] for k, v in split.features.items()}, split.labels[rows]

    return model, drawn


def plain() -> list[keras.layers.Layer]:
    return [keras.layers.BatchNormalization(), keras.layers.ReLU()]


def ours() -> list[keras.layers.Layer]:
    return [tfnorm.BatchNormalization(), keras.layers.ReLU()]


def after() -> list[keras.layers.Layer]:
    return [keras.layers.ReLU(), keras.layers.BatchNormalization()]


def dice() -> list[keras.layers.Layer]:
    return [tfnorm.Dice()]


def dropped() -> list[keras.layers.Layer]:
    return [keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dropout(0.2)]


def kinds() -> dict[str, Callable[[], Case]]:
    """Name -> how to make the model and what draws its rows; each is made when it is its turn."""
    cases: dict[str, Callable[[], Case]] = {}
    data = ("log-normal", "plain", "flags", "heavy tails", "dead and constant", "ids and dates")
    for of in data:
        for name, hidden in (("bn", plain), ("dice", dice), ("relu, bn", after)):
            cases[f"{of}: 2 {name}"] = lambda of=of, hidden=hidden: tower(of, 2, hidden)
    for of in data[:4]:
        cases[f"{of}: 6 bn"] = lambda of=of: tower(of, 6, plain)
        cases[f"{of}: 2 tfnorm bn"] = lambda of=of: tower(of, 2, ours)
        cases[f"{of}: bn, dropout"] = lambda of=of: tower(of, 2, dropped)
    cases["pictures: bn"] = lambda: pictures(plain)
    cases["pictures: dice"] = lambda: pictures(dice)
    cases["clicks: DIN"] = lambda: ranker(tfnorm.models.DIN, units=(64, 32))
    cases["clicks: base"] = lambda: ranker(tfnorm.models.DIN, units=(64, 32), attention=False)
    cases["clicks: DIEN"] = lambda: ranker(tfnorm.models.DIEN, units=(64, 32))
    return cases


def looked_at(
    make: Callable[[], Case], long: int, seed: int
) -> Iterator[tuple[int, int, StatisticsFit]]:
    """Train a model, and give (steps, examples, what the gate finds) on the way."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    model, drawn = make()
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    features, labels = drawn(40_000, rng)
    done = 0
    for steps in (*SHORT, long):
        rows = np.arange(done * BATCH, steps * BATCH) % len(labels)
        part = {name: array[rows] for name, array in features.items()}
        model.fit(part, labels[rows], BATCH, verbose=0, shuffle=False)
        done = steps
        for count in ROWS:
            held_out, _ = drawn(count, rng)
            yield steps, count, statistics_fit(model, interface(model, held_out).score, held_out)


@click.command()
@click.option("--kind", "wanted", default="", help="Only kinds whose name has this.")
@click.option("--steps", default=1200, show_default=True, help="Of a whole training.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(wanted: str, steps: int, seed: int, json_file: Path | None) -> None:
    console = Console()
    found = []
    for name, make in kinds().items():
        if wanted not in name:
            continue
        for after_steps, rows, fit in looked_at(make, steps, seed):
            share = fit.initial_share
            found.append(
                {
                    "kind": name,
                    "steps": after_steps,
                    "rows": rows,
                    "verdict": fit.verdict,
                    "initial_share": share,
                    "effect": fit.effect,
                    "noise": fit.noise,
                }
            )
            console.print(found[-1])
    table = Table("steps", *(f"{rows:,} examples" for rows in ROWS))
    for after_steps in (*SHORT, steps):
        cells = []
        for rows in ROWS:
            verdicts = Counter(
                each["verdict"]
                for each in found
                if (each["steps"], each["rows"]) == (after_steps, rows)
            )
            cells.append(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
        table.add_row(f"{after_steps:,}", *cells)
    console.print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
