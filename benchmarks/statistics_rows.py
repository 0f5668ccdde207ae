"""How many rows recalibration needs: the largest change of a score against rows, and against all data.

    python benchmarks/statistics_rows.py --json rows.json

Each model is trained, recalibrated by all of its training data, and scores 4,096 held-out examples. Then it
is recalibrated by some rows of the training data, drawn at random by several seeds, and scores them again. A
score is a probability; its change is that of the example that changes most.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import tfnorm
from tfnorm.datasets import synthetic
from tfnorm.training import Recipe, train

ROWS = (64, 256, 1_024, 4_096, 16_384)
HELD_OUT = 4_096

Arrays = dict[str, np.ndarray]
Case = tuple[keras.Model, Arrays, Arrays]
"""A trained model, what it was trained on, and held-out examples."""


def clicks() -> Case:
    """DIN on the synthetic log, an epoch."""
    log = synthetic()
    model = train(log, Recipe(epochs=1), recalibrate=False).model
    return model, log.train.features, log.test[:HELD_OUT].features


def tower(columns: Callable[[np.ndarray], np.ndarray]) -> Case:
    """Columns that are normalized, and two dense layers with a BatchNormalization each."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(80_000 + HELD_OUT, 12))
    chance = 1 / (1 + np.exp(-(z[:, 0] + z[:, 1] * z[:, 2])))
    x, y = columns(z).astype("float32"), (rng.random(len(z)) < chance).astype("float32")
    inputs = keras.Input((12,), name="x")
    hidden = keras.layers.BatchNormalization()(inputs)
    for units in (64, 32):
        hidden = keras.layers.BatchNormalization()(keras.layers.Dense(units)(hidden))
        hidden = keras.layers.ReLU()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    model.fit(x[HELD_OUT:], y[HELD_OUT:], 256, epochs=2, verbose=0)
    return model, {"x": x[HELD_OUT:]}, {"x": x[:HELD_OUT]}


CASES: dict[str, Callable[[], Case]] = {
    "DIN, clicks": clicks,
    "normal columns": lambda: tower(lambda z: z),
    "log-normal columns": lambda: tower(lambda z: 3 * np.exp(1.2 * z)),
    "flags in 1% of the rows": lambda: tower(
        lambda z: np.concatenate([z[:, :6], z[:, 6:] > 2.326], axis=1)
    ),
}


def changes(
    model: keras.Model, data: Arrays, held_out: Arrays, seeds: int
) -> dict[int, list[tuple[float, float]]]:
    """Rows -> the largest change of a score and the standard error that is told, by seed."""

    def scores() -> np.ndarray:
        return np.asarray(model.predict(held_out, HELD_OUT, verbose=0), float).ravel()

    tfnorm.recalibrate_statistics(model, data)
    exact = scores()
    found = {}
    for rows in ROWS:
        found[rows] = []
        for seed in range(seeds):
            drawn = np.random.default_rng([seed, rows]).choice(
                len(next(iter(data.values()))), rows, replace=False
            )
            some = {name: array[drawn] for name, array in data.items()}
            done = tfnorm.recalibrate_statistics(model, some)
            found[rows].append((float(np.abs(scores() - exact).max()), done.standard_error))
    return found


@click.command()
@click.option("--seeds", default=5, show_default=True, help="Draws of the rows.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(seeds: int, json_file: Path | None) -> None:
    table, report = Table("model", *(f"{rows:,} rows" for rows in ROWS)), {}
    errors: dict[int, list[float]] = {rows: [] for rows in ROWS}
    for name, make in CASES.items():
        keras.utils.set_random_seed(0)
        found = report[name] = changes(*make(), seeds)
        cells = []
        for rows, measured in found.items():
            moved, told = zip(*measured, strict=True)
            cells.append(f"{min(moved):.2g} to {max(moved):.2g}")
            errors[rows] += told
        table.add_row(name, *cells)
    table.add_row(
        "standard error that is told", *(f"{min(e):.2g} to {max(e):.2g}" for e in errors.values())
    )
    Console(width=140).print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
