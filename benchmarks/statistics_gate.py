"""Which trained models the export's gate refuses, by how long they trained and how many examples it has.

    python benchmarks/statistics_gate.py --json gate.json
    python benchmarks/statistics_gate.py --kind log-normal --seed 1

Each kind of model is trained in batches of 128 and looked at on its way, with held-out examples. After fewer
than 200 steps with the layers' defaults (momentum 0.99, no warm-up) its statistics still hold a seventh or
more of their initial values, and the gate should refuse it; after 1,000 it must not, whatever the number of
examples; what these can't decide it may leave undecided.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from keras.layers import (
    Add,
    AveragePooling1D,
    Concatenate,
    Conv1D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    ReLU,
)
from rich.console import Console
from rich.table import Table

import tfnorm
from tfnorm.datasets import synthetic, with_negatives
from tfnorm.export.tracing.interface import interface
from tfnorm.statistics.fit import statistics_fit
from tfnorm.statistics.results import StatisticsFit

SHORT = (20, 60, 120, 180)
"""Steps of a training whose statistics are not to be served."""

LONG = 1000
ROWS = (64, 512, 4096)
BATCH = 128

Arrays = dict[str, np.ndarray]
Drawn = Callable[[int, np.random.Generator], tuple[Arrays, np.ndarray]]
Layers = Callable[[], list[keras.layers.Layer]]
Keras = keras.layers.BatchNormalization


@dataclass
class Case:
    """A model, what draws its rows and labels, and how it is trained.

    Attributes:
        defaults: whether its layers have the defaults, so that a short training leaves initial values.
    """

    model: keras.Model
    drawn: Drawn
    loss: str = "binary_crossentropy"
    optimizer: Callable[[], keras.optimizers.Optimizer] = lambda: keras.optimizers.Adam(2e-3)
    defaults: bool = True


def columns(kind: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 12 columns, and how likely each is to be positive, by what the columns were made of."""
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
        "counts": lambda: np.concatenate(
            [z[:, :4], rng.poisson(np.exp(1.5 * z[:, :8] - 1))], axis=1
        ),
    }[kind]()
    return x.astype("float32"), 1 / (1 + np.exp(-(z[:, 0] + z[:, 1] * z[:, 2])))


def clicks(kind: str) -> Drawn:
    """Columns, and whether each row is positive."""

    def drawn(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        x, chance = columns(kind, count, rng)
        return {"x": x}, (rng.random(count) < chance).astype("float32")

    return drawn


def rare(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
    """Columns of which one row in fifty or so is positive."""
    x, chance = columns("log-normal", count, rng)
    return {"x": x}, (rng.random(count) < chance**4 / 5).astype("float32")


def amounts(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
    """Columns, and an amount that has most of its rows near zero."""
    x, chance = columns("log-normal", count, rng)
    return {"x": x}, rng.exponential(chance).astype("float32")


def classes(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
    """Columns, and one of five classes."""
    x, chance = columns("counts", count, rng)
    return {"x": x}, np.minimum(5 * chance, 4).astype("int32")


def tower(
    drawn: Drawn,
    hidden: Layers,
    *,
    layers: int = 2,
    first: Callable[[], keras.layers.Layer] | None = Keras,
    residual: bool = False,
    outputs: Callable[[], keras.layers.Layer] = lambda: Dense(1, "sigmoid", dtype="float32"),
    **options: Any,
) -> Case:
    """Dense layers over columns, which are normalized first."""
    inputs = x = keras.Input((12,), name="x")
    if first is not None:
        x = first()(x)
    for i in range(layers):
        before, x = x, Dense(64 if i == 0 and not residual else 32)(x)
        for layer in hidden():
            x = layer(x)
        if residual and i:
            x = Add()([before, x])
    return Case(keras.Model(inputs, outputs()(x)), drawn, **options)


def in_bfloat16(make: Callable[[], Case]) -> Case:
    """The same in half precision, but for the statistics."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return make()
    finally:
        keras.config.set_dtype_policy("float32")


def bars(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
    """Pictures with a bar, lying or upright, of any brightness."""
    y, at, bright = (
        rng.integers(0, 2, count),
        rng.integers(0, 10, count),
        rng.exponential(size=count),
    )
    x = 0.3 * rng.normal(size=(count, 12, 12, 1))
    across = (np.arange(12) - at[:, None]) // 2 == 0
    bar = np.where(y[:, None, None] > 0, across[:, :, None], across[:, None, :])
    x[..., 0] += bar * bright[:, None, None]
    return {"x": x.astype("float32")}, y.astype("float32")


def pictures(hidden: Layers, *, residual: bool = False) -> Case:
    """Convolutions over bars."""
    inputs = x = keras.Input((12, 12, 1), name="x")
    for filters in (8, 16):
        x = Conv2D(filters, 3, padding="same", strides=2)(x)
        for layer in hidden():
            x = layer(x)
        if residual:
            y = DepthwiseConv2D(3, padding="same")(x)
            for layer in hidden():
                y = layer(y)
            x = Add()([x, y])
    x = GlobalAveragePooling2D()(x)
    return Case(keras.Model(inputs, Dense(1, "sigmoid")(x)), bars)


def events(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
    """A user, an item, and up to 12 items before it, by falling frequency, padded with 0."""
    user, item = rng.zipf(1.3, count) % 500, rng.zipf(1.2, count) % 1000
    length = rng.integers(1, 13, count)
    history = (item[:, None] // 7 * 7 + rng.zipf(1.5, (count, 12)) % 60) % 999 + 1
    history = np.where(np.arange(12) < length[:, None], history, 0)
    chance = 1 / (1 + np.exp(-np.sin(user) - np.cos(item) + 0.1 * (length - 6)))
    features = {"user": user, "item": item, "history": history}
    return {k: v.astype("int32") for k, v in features.items()}, (rng.random(count) < chance).astype(
        "float32"
    )


def ids(merge: Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]) -> Case:
    """Embeddings of a user and an item."""
    user, item = (keras.Input((), name=name, dtype="int32") for name in ("user", "item"))
    score = merge(Embedding(500, 8)(user), Embedding(1000, 8)(item))
    return Case(keras.Model([user, item], score), _some(events, "user", "item"))


def concatenated(user: keras.KerasTensor, item: keras.KerasTensor) -> keras.KerasTensor:
    x = Keras()(Concatenate()([user, item]))
    for units in (64, 32):
        x = ReLU()(Keras()(Dense(units)(x)))
    return Dense(1, "sigmoid")(x)


def two_towers(user: keras.KerasTensor, item: keras.KerasTensor) -> keras.KerasTensor:
    sides = [Keras()(Dense(16)(ReLU()(Keras()(Dense(32)(side))))) for side in (user, item)]
    return Dense(1, "sigmoid")(keras.layers.Multiply()(sides))


def sequences(read: Callable[[keras.KerasTensor], keras.KerasTensor], mask: bool = True) -> Case:
    """The history alone, as embeddings."""
    history = keras.Input((12,), name="history", dtype="int32")
    x = read(Embedding(1000, 8, mask_zero=mask)(history))
    return Case(keras.Model(history, Dense(1, "sigmoid")(x)), _some(events, "history"))


def convolved(x: keras.KerasTensor) -> keras.KerasTensor:
    for _ in range(2):
        x = AveragePooling1D(2)(ReLU()(Keras()(Conv1D(16, 3, padding="same")(x))))
    return GlobalAveragePooling1D()(x)


def masked(x: keras.KerasTensor) -> keras.KerasTensor:
    x = tfnorm.BatchNormalization()(x)
    x = tfnorm.Dice()(Dense(32)(x))
    return tfnorm.BatchNormalization()(GlobalAveragePooling1D()(x))


def recurrent(x: keras.KerasTensor) -> keras.KerasTensor:
    x = keras.layers.GRU(16, return_sequences=True)(Keras()(x))
    return Keras()(Dense(16)(GlobalAveragePooling1D()(Keras()(x))))


def _some(drawn: Drawn, *names: str) -> Drawn:
    """Some features of what is drawn."""

    def chosen(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        features, labels = drawn(count, rng)
        return {name: features[name] for name in names}, labels

    return chosen


def ranker(make: Callable[..., keras.Model], **options: Any) -> Case:
    """A model of the library over the synthetic click log; those warm their momentum up."""
    log = synthetic(train_size=40_000, test_size=5_000)
    train = with_negatives(log.train) if make is tfnorm.models.DIEN else log.train
    model = make(log.item_count, log.category_count, embedding_size=8, **options)

    def drawn(count: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        split = log.test if count <= max(ROWS) else train
        rows = rng.permutation(len(split.labels))[:count]
        return {k: v[rows] for k, v in split.features.items()}, split.labels[rows]

    return Case(model, drawn, defaults=False)


def normalized(*layers: Callable[[], keras.layers.Layer], relu: bool = True) -> Layers:
    """Those layers, and a ReLU behind."""
    return lambda: [make() for make in layers] + [ReLU()] * relu


bn = normalized(Keras)
after = normalized(ReLU, Keras, relu=False)
dice = normalized(tfnorm.Dice, relu=False)
BN = tfnorm.BatchNormalization


def kinds() -> dict[str, Callable[[], Case]]:
    """Name -> how to make the model and what draws its rows; each is made when it is its turn."""
    cases: dict[str, Callable[[], Case]] = {}
    data = ("log-normal", "plain", "flags", "heavy tails", "dead and constant", "ids and dates")
    for of in data:
        for name, hidden in (("bn", bn), ("dice", dice)):
            cases[f"{of}: {name}"] = lambda of=of, hidden=hidden: tower(clicks(of), hidden)
    for of in ("log-normal", "heavy tails", "counts"):
        cases[f"{of}: relu, bn"] = lambda of=of: tower(clicks(of), after)
    cases["log-normal: 6 bn"] = lambda: tower(clicks("log-normal"), bn, layers=6)
    make: dict[str, tuple[Layers, dict[str, Any]]] = {
        "tfnorm bn": (normalized(BN), {"first": BN}),
        "dropout": (normalized(Keras, lambda: Dropout(0.2)), {}),
        "renorm": (normalized(lambda: BN(renorm=True)), {}),
        "ghost batches": (normalized(lambda: BN(virtual_batch_size=32)), {}),
        "residual": (bn, {"residual": True, "layers": 4}),
        "not normalized first": (bn, {"first": None}),
        "SGD": (bn, {"optimizer": lambda: keras.optimizers.SGD(0.02, 0.9)}),
        "warm-up": (
            normalized(lambda: BN(momentum_warmup=True)),
            {"first": lambda: BN(momentum_warmup=True), "defaults": False},
        ),
        "cumulative": (
            normalized(lambda: BN(momentum=None)),
            {"first": lambda: BN(momentum=None), "defaults": False},
        ),
    }
    for i, (name, (hidden, options)) in enumerate(make.items()):
        of = ("log-normal", "flags", "counts", "plain")[i % 4]
        cases[f"{of}: {name}"] = lambda of=of, hidden=hidden, options=options: tower(
            clicks(of), hidden, **options
        )
    cases["rare: bn"] = lambda: tower(rare, bn)
    cases["amounts: bn"] = lambda: tower(amounts, bn, outputs=lambda: Dense(1), loss="mse")
    cases["classes: bn"] = lambda: tower(
        classes,
        bn,
        outputs=lambda: Dense(5, "softmax"),
        loss="sparse_categorical_crossentropy",
    )
    cases["log-normal: bfloat16"] = lambda: in_bfloat16(lambda: tower(clicks("log-normal"), bn))
    cases["pictures: bn"] = lambda: pictures(bn)
    cases["pictures: dice"] = lambda: pictures(dice)
    cases["pictures: residual"] = lambda: pictures(bn, residual=True)
    cases["ids: bn"] = lambda: ids(concatenated)
    cases["ids: two towers"] = lambda: ids(two_towers)
    cases["sequences: convolutions"] = lambda: sequences(convolved, mask=False)
    cases["sequences: masked"] = lambda: sequences(masked)
    cases["sequences: GRU"] = lambda: sequences(recurrent, mask=False)
    cases["clicks: DIN"] = lambda: ranker(tfnorm.models.DIN, units=(64, 32))
    cases["clicks: base"] = lambda: ranker(tfnorm.models.DIN, units=(64, 32), attention=False)
    cases["clicks: DIEN"] = lambda: ranker(tfnorm.models.DIEN, units=(64, 32))
    return cases


def looked_at(case: Case, seed: int) -> Iterator[tuple[int, int, StatisticsFit]]:
    """Train a model, and give (steps, examples, what the gate finds) on the way."""
    rng = np.random.default_rng(seed)
    model = case.model
    model.compile(case.optimizer(), case.loss)
    features, labels = case.drawn(40_000, rng)
    done = 0
    for steps in (*SHORT, LONG):
        rows = np.arange(done * BATCH, steps * BATCH) % len(labels)
        part = {name: array[rows] for name, array in features.items()}
        model.fit(part, labels[rows], batch_size=BATCH, verbose=0, shuffle=False)
        done = steps
        for count in ROWS:
            held_out, _ = case.drawn(count, rng)
            yield steps, count, statistics_fit(model, interface(model, held_out).score, held_out)


def table_of(found: list[dict[str, Any]], defaults: bool) -> Table:
    title = "with the layers' defaults" if defaults else "with a warm-up or a cumulative average"
    table = Table("steps", *(f"{rows:,} examples" for rows in ROWS), title=title)
    for steps in (*SHORT, LONG):
        cells = []
        for rows in ROWS:
            cell = Counter(
                each["verdict"]
                for each in found
                if (each["steps"], each["rows"], each["defaults"]) == (steps, rows, defaults)
            )
            cells.append(", ".join(f"{count} {verdict}" for verdict, count in cell.most_common()))
        table.add_row(f"{steps:,}", *cells)
    return table


@click.command()
@click.option("--kind", "wanted", default="", help="Only kinds whose name has this.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(wanted: str, seed: int, json_file: Path | None) -> None:
    """Train a model of each kind, and say what the gate finds on the way."""
    console = Console()
    found = []
    for name, make in kinds().items():
        if wanted not in name:
            continue
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        case = make()
        for steps, rows, fit in looked_at(case, seed):
            figures = {"initial_share": fit.initial_share, "effect": fit.effect, "noise": fit.noise}
            found.append(
                {"kind": name, "defaults": case.defaults, "steps": steps, "rows": rows}
                | {"verdict": fit.verdict}
                | figures
            )
        console.print(
            f"{name:28}",
            "  ".join(
                f"{steps}: "
                + " ".join(
                    each["verdict"][:3]
                    for each in found
                    if (each["kind"], each["steps"]) == (name, steps)
                )
                for steps in (*SHORT, LONG)
            ),
            highlight=False,
        )
    for defaults in (True, False):
        console.print(table_of(found, defaults))
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
