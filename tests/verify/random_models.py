"""Random models, clean or with a planted dependence on the batch, for the verdict to be judged by.

made = clean(seed=3)
verdict = judged(made, directory)

made = planted(seed=3)
made.form, made.effect   # "mean", 3e-6: how far it moves a score, in units of the scores' size
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnorm.examples.load import load
from tfnorm.scorers.load import load_scorer
from tfnorm.verify.compositions.budget import Budget
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.request import Request
from tfnorm.verify.run import verdict

V1 = tf.compat.v1
Score = Callable[..., tf.Tensor]

TYPES = ("float32", "float32", "float32", "float64", "float16", "bfloat16", "mixed_float16")
ACTIVATIONS = (tf.nn.relu, tf.tanh, tf.nn.gelu, tf.sigmoid, tf.nn.softplus, tf.identity)
SMALLEST = 1e-10
WORDS = {True: "passed", False: "failed", None: "untold"}
"""The answers of a verification; "untold" where it can't be told."""


@dataclass(frozen=True)
class RandomModel:
    """A model and examples of it.

    Args:
        score: features -> scores.
        examples: input name -> array.
        dtype: what it computes in.
        kinds: what it is made of, and what its examples are.
        form: how its scores depend on the batch; None where they don't.
        effect: how far that moves a score in a usual batch, as a part of the scores' size.
    """

    score: Score
    examples: dict[str, np.ndarray]
    dtype: str
    kinds: tuple[str, ...]
    form: str | None = None
    effect: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What came of verifying a model.

    Args:
        word: "passed", "failed", or "untold": it could not be told.
        moved: the largest move of a score.
        by: the compositions that failed, and how far a score moved in them.
    """

    word: str
    moved: float
    by: dict[str, float]


def judged(made: RandomModel, directory: Path) -> Verdict:
    """Write a model to a directory and verify it; what is to blame is not looked for."""
    # In a graph of TF 1, which is traced once, and not four times.
    with tf.Graph().as_default(), V1.Session() as session:
        given = {
            name: V1.placeholder(array.dtype, [None, *array.shape[1:]], name)
            for name, array in made.examples.items()
        }
        V1.saved_model.simple_save(session, str(directory), given, {"score": made.score(given)})
    scorer = load_scorer(directory)
    examples = load(made.examples, scorer)
    budget = Budget(math.inf)
    request = Request(scorer, None, examples, Tolerance(), None, None, (), (), 0, budget)
    _, found = verdict(request)
    scorer.close()
    by = {
        f"{result.name}, {result.batch_size}": result.max_abs_diff
        for result in found.results
        if not result.passed
    }
    return Verdict(WORDS[found.passed], max(result.max_abs_diff for result in found.results), by)


def clean(seed: int) -> RandomModel:
    """A model whose scores do not depend on the batch, of random depth, width, type and examples."""
    return _Maker(seed).model()


def planted(seed: int, form: str | None = None, effect: float | None = None) -> RandomModel:
    """The clean model of that seed with a dependence: of a random form and size where none is given."""
    maker = _Maker(seed)
    made = maker.model()
    if not (made.examples["x"].std(axis=0) > 0).any():
        # Rows that are all alike, which nothing can be told of.
        made.examples["x"][:] = maker.numbers(*made.examples["x"].shape)
    drawn = str(maker.rng.choice(list(FORMS))), 10 ** maker.rng.uniform(np.log10(SMALLEST), 0.0)
    form, effect = form or drawn[0], float(effect or drawn[1])
    x = made.examples["x"].astype(np.float64)
    column = int(x.std(axis=0).argmax())
    mean, deviation = x[:, column].mean(), x[:, column].std()
    given = {name: tf.constant(array) for name, array in made.examples.items()}
    scores = np.abs(made.score(given).numpy().astype(np.float64))
    size = float(np.median(scores)) or 1.0

    def score(features: dict[str, tf.Tensor]) -> tf.Tensor:
        clean_score = made.score(features)
        z = (tf.cast(features["x"][:, column], tf.float64) - mean) / deviation
        rows = tf.cast(tf.shape(z)[0], tf.float64)
        moved = tf.cast(effect * size * FORMS[form](z, rows), clean_score.dtype)
        return clean_score + tf.reshape(moved, [-1, *[1] * (clean_score.shape.rank - 1)])

    return RandomModel(score, made.examples, made.dtype, made.kinds, form, effect)


def _over_rows(value: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    return value + tf.zeros_like(z)


Form = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

FORMS: dict[str, Form] = {
    "mean": lambda z, n: _over_rows(tf.reduce_mean(z), z),
    "largest": lambda z, n: _over_rows(tf.reduce_max(z), z),
    "deviation": lambda z, n: z / (1.0 + tf.math.reduce_std(z)),
    "softmax": lambda z, n: tf.nn.softmax(z),
    "cumulative sum": lambda z, n: tf.cumsum(z),
    "row before": lambda z, n: tf.roll(z, 1, axis=0),
    "first row": lambda z, n: _over_rows(z[0], z),
    "rank": lambda z, n: tf.cast(tf.argsort(tf.argsort(z)), tf.float64) / n,
    "size": lambda z, n: _over_rows(n / 64.0, z),
    "logarithm of the size": lambda z, n: _over_rows(tf.math.log(n) / 4.0, z),
    "one of the size": lambda z, n: _over_rows(1.0 / n, z),
    "more than 20 rows": lambda z, n: _over_rows(tf.cast(n > 20.0, tf.float64), z),
    "odd sizes": lambda z, n: _over_rows(tf.math.floormod(n, 2.0), z),
    "size, both ways": lambda z, n: tf.sin(n + 1000.0 * z),
    "more than 20 rows, both ways": lambda z, n: tf.cast(n > 20.0, tf.float64) * tf.sin(1e3 * z),
    "place": lambda z, n: tf.range(n) / 16.0,
    "first place": lambda z, n: tf.cast(tf.range(n) < 0.5, tf.float64),
}
"""Standardized numbers of the rows, and how many rows there are -> what a score is moved by."""

BY_NEIGHBOURS = (
    *("mean", "largest", "deviation", "softmax", "cumulative sum"),
    *("row before", "first row", "rank"),
)
"""The forms that neighbours make; the others are of the batch's size, or the place in it."""


class _Maker:
    """Draws the parts of a model."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def numbers(self, *shape: int) -> np.ndarray:
        """Features, of any scale, centred or not."""
        scale, shift = 10 ** self.rng.uniform(-2, 2), self.rng.choice([0.0, 1.0, 5.0])
        return (scale * (self.rng.normal(size=shape) + shift)).astype(np.float32)

    def model(self) -> RandomModel:
        """A model with its examples."""
        rng = self.rng
        dtype = str(rng.choice(TYPES))
        compute = dtype.removeprefix("mixed_")
        count = self._between(2, 160)
        examples = {"x": self.numbers(count, self._between(1, 48))}
        kinds = [dtype]
        parts: list[Score] = [self._numbers("x", examples["x"], compute)]
        for name, chance, make in (
            ("id", 0.3, self._embedded),
            ("history", 0.3, self._attended),
            ("user", 0.3, self._user),
        ):
            if rng.random() < chance:
                kinds.append(name)
                examples[name], part = make(count, compute)
                parts.append(part)
        width = self._between(2, 96)
        body = [self._layer(width, compute) for _ in range(rng.integers(0, 9))]
        kinds += [f"{len(body)} layers of {width}"]
        merge, head = self._dense(width, compute), self._head(compute, dtype)
        kinds.append(self._repeat(examples))

        def score(features: dict[str, tf.Tensor]) -> tf.Tensor:
            hidden = merge(tf.concat([part(features) for part in parts], axis=1))
            for layer in body:
                hidden = layer(hidden)
            return head(hidden)

        return RandomModel(score, examples, dtype, tuple(kinds))

    def _between(self, low: int, high: int) -> int:
        """A whole number, small ones as often as large ones."""
        return int(np.exp(self.rng.uniform(np.log(low), np.log(high + 1))))

    def _weights(self, rows: int, columns: int, dtype: str) -> np.ndarray:
        gain = self.rng.uniform(0.5, 1.5)
        weights = gain * self.rng.normal(size=(rows, columns)) / rows**0.5
        return weights.astype(tf.as_dtype(dtype).as_numpy_dtype)

    def _dense(self, units: int, dtype: str) -> Callable[[tf.Tensor], tf.Tensor]:
        kept: dict[int, np.ndarray] = {}
        seed = int(self.rng.integers(2**31))
        bias = 0.1 * self._weights(1, units, dtype)

        def dense(x: tf.Tensor) -> tf.Tensor:
            if x.shape[1] not in kept:
                kept[x.shape[1]] = _Maker(seed)._weights(x.shape[1], units, dtype)
            return x @ kept[x.shape[1]] + bias.astype(kept[x.shape[1]].dtype)

        return dense

    def _layer(self, width: int, dtype: str) -> Callable[[tf.Tensor], tf.Tensor]:
        activation = ACTIVATIONS[self.rng.integers(len(ACTIVATIONS))]
        dense, other = self._dense(width, dtype), self._dense(width, dtype)
        kind = self.rng.choice(["dense", "residual", "norm", "cross", "experts"], p=_SHARES)

        def norm(x: tf.Tensor) -> tf.Tensor:
            mean, variance = tf.nn.moments(x, [1], keepdims=True)
            return (x - mean) * tf.math.rsqrt(variance + tf.cast(1e-3, x.dtype))

        def experts(x: tf.Tensor) -> tf.Tensor:
            chosen = tf.cast(x[:, 0] > 0, tf.int32)
            places = tf.dynamic_partition(tf.range(tf.shape(x)[0]), chosen, 2)
            first, second = tf.dynamic_partition(x, chosen, 2)
            return tf.dynamic_stitch(places, [activation(dense(first)), other(second)])

        layers: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
            "dense": lambda x: activation(dense(x)),
            "residual": lambda x: x + other(activation(dense(x))),
            "norm": lambda x: activation(norm(dense(x))),
            "cross": lambda x: x + x * activation(dense(x)),
            "experts": experts,
        }
        return layers[str(kind)]

    def _head(self, compute: str, dtype: str) -> Callable[[tf.Tensor], tf.Tensor]:
        units = 1 if self.rng.random() < 0.6 else self._between(2, 64)
        dense = self._dense(units, compute)
        ends: list[Callable[[tf.Tensor], tf.Tensor]] = [tf.identity, tf.sigmoid, tf.nn.softmax]
        end = ends[self.rng.integers(2 if units == 1 else 3)]
        # As Keras advises, scores are in 32 bits, but for models that are in 16 bits throughout.
        last = compute if dtype in ("float64", "float16") else "float32"
        return lambda hidden: end(tf.cast(dense(hidden), last))

    def _numbers(self, name: str, array: np.ndarray, dtype: str) -> Score:
        """A dense layer over standardized numbers, as a pipeline of features has them."""
        mean, deviation = array.mean(axis=0), array.std(axis=0) + 1e-3 * abs(array).max()
        dense = self._dense(self._between(1, 32), dtype)
        return lambda features: dense(tf.cast((features[name] - mean) / deviation, dtype))

    def _embedded(self, count: int, dtype: str) -> tuple[np.ndarray, Score]:
        below = self._between(2, 200)
        table = self._weights(below, self._between(1, 16), dtype)
        ids = self.rng.integers(0, below, count)
        return ids, lambda features: tf.gather(table, features["id"])

    def _attended(self, count: int, dtype: str) -> tuple[np.ndarray, Score]:
        """Masked attention of a query over a padded history."""
        steps, units = self._between(2, 12), self._between(2, 12)
        table, query = self._weights(50, units, dtype), self._weights(1, units, dtype)
        ids = self.rng.integers(1, 50, (count, steps))
        ids[np.arange(steps) >= self.rng.integers(1, steps + 1, (count, 1))] = 0

        def attended(features: dict[str, tf.Tensor]) -> tf.Tensor:
            items = tf.gather(table, features["history"])
            logits = tf.squeeze(tf.matmul(items, query[None], transpose_b=True), 2)
            lowest = tf.cast(-1e4, items.dtype)
            weights = tf.nn.softmax(tf.where(features["history"] == 0, lowest, logits))
            return tf.squeeze(tf.matmul(weights[:, None], items), 1)

        return ids, attended

    def _user(self, count: int, dtype: str) -> tuple[np.ndarray, Score]:
        """A tower of its own."""
        array = self.numbers(count, self._between(2, 32))
        first = self._numbers("user", array, dtype)
        tower = [self._layer(16, dtype) for _ in range(self.rng.integers(1, 5))]
        enter = self._dense(16, dtype)

        def user(features: dict[str, tf.Tensor]) -> tf.Tensor:
            hidden = enter(first(features))
            for layer in tower:
                hidden = layer(hidden)
            return hidden

        return array, user

    def _repeat(self, examples: dict[str, np.ndarray]) -> str:
        """Let some examples be the same, or share a part; how."""
        kind = str(self.rng.choice(["different", "one request", "few", "one user"], p=_REPEATED))
        shared = {"one request": list(examples), "few": list(examples), "one user": ["user"]}
        count = len(examples["x"])
        kept = self._between(2, min(8, count)) if kind == "few" else 1
        for name in shared.get(kind, []):
            if name in examples:
                examples[name][:] = examples[name][np.arange(count) % kept]
        return kind


_SHARES = (0.4, 0.2, 0.15, 0.15, 0.1)
_REPEATED = (0.55, 0.05, 0.2, 0.2)
