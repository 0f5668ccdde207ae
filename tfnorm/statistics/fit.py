"""Whether the moving statistics of a Keras model fit examples, as its scores have it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import probe_detector, replaced_calls
from tfnorm.ops.moments import channel_moments
from tfnorm.statistics.judgement import (
    DOUBTFUL,
    FITS,
    OFF,
    TRACE,
    UNDECIDED,
    Moments,
    Residue,
    Used,
    initial_share,
    merged,
    residue,
    verdict,
)
from tfnorm.statistics.observation.moving import moving_variables, read, statistics_layers

Arrays = Mapping[str, np.ndarray]
Score = Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]

PARTS = 8
"""Parts of the examples that are looked at by themselves, to learn how far they decide."""

FEWEST = 2 * PARTS
"""Examples that tell anything."""

MOST, MOST_BYTES = 4096, 1 << 24
"""Examples that are looked at, and how large they may be, as they are scored in one batch."""


@dataclass(frozen=True)
class LayerFit:
    """The statistics that one layer uses beside those of the examples.

    Attributes:
        name: its name after those of the models and layers around it.
        residue: how much of the initial statistics is left in those in use.
        channel: the one that is farthest off.
        mean, data_mean: of that channel, the moving mean and the mean of the examples.
        std, data_std: likewise the standard deviations, sqrt(variance + epsilon).
    """

    name: str
    residue: Residue
    channel: int
    mean: float
    data_mean: float
    std: float
    data_std: float

    @property
    def distance(self) -> float:
        """How far the channel is off: standard deviations of the mean, and the log of their ratio."""
        return abs(self.mean - self.data_mean) / self.data_std + abs(
            float(np.log(self.std / self.data_std))
        )

    def __str__(self) -> str:
        return (
            f"layer {self.name!r} has in channel {self.channel} the mean {self.mean:.3g} and the "
            f"standard deviation {self.std:.3g} where the examples have {self.data_mean:.3g} and "
            f"{self.data_std:.3g}"
        )


@dataclass(frozen=True)
class StatisticsFit:
    """Whether moving statistics fit examples.

    Attributes:
        verdict: "off", "doubtful", "fits", or "undecided" where the examples don't tell.
        examples: how many were looked at.
        layers: those that are called in inference and not frozen, in the order of their calls.
        initial_share: how much of the initial statistics is left in those in use, at least, from 0 to
            1; None where the examples don't tell.
        effect: by how many standard deviations a score is another one with the statistics of the
            examples, at the root of the mean square; NaN where that could not be tried.
        noise: likewise with those of half the examples in the place of all.
    """

    verdict: str
    examples: int
    layers: tuple[LayerFit, ...]
    initial_share: float | None
    effect: float
    noise: float

    @property
    def worst(self) -> LayerFit | None:
        """The layer with the channel that is farthest off."""
        return max(self.layers, key=lambda fit: fit.distance, default=None)

    def __str__(self) -> str:
        if self.verdict == FITS:
            return (
                f"fit the {self.examples:,} examples" if self.layers else "are not there, or frozen"
            )
        if self.verdict == UNDECIDED:
            return f"may fit or not: {self.examples:,} examples don't decide it"
        said = {OFF: "do not fit", DOUBTFUL: "may not fit"}[self.verdict]
        parts = [f"{said} the {self.examples:,} examples: {self.worst}"]
        if self.initial_share and self.initial_share >= TRACE:
            parts.append(f"{self.initial_share:.0%} or more of the initial values is left in them")
        if np.isfinite(self.effect):
            parts.append(
                f"with those of the examples a score moves by {self.effect:.2g} of its standard "
                "deviation"
            )
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON, which has no NaN."""
        fields = asdict(self) | {"text": f"the moving statistics {self}"}
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in fields.items()
        }


def statistics_fit(model: keras.Model, score: Score, examples: Arrays) -> StatisticsFit:
    """Compare the statistics that a model uses with those of examples, by their effect on its scores.

    The examples are scored with the statistics in use and with their own: those of all of them, and
    those of either half, which tell how far so few examples decide. A layer that is frozen
    (`trainable=False`) normalized by its statistics in training too, and is left out.

    Args:
        model: a built model.
        score: calls it in inference mode: features by name in, outputs by name out.
        examples: input name -> `[examples, ...]`; of many, as many evenly spread as a batch holds.

    Returns:
        The verdict and what it rests on.
    """
    names = {layer: name for layer, name in statistics_layers(model).items() if layer.trainable}
    chosen = _spread(examples)
    count = len(next(iter(chosen.values())))
    if not names or count < FEWEST:
        nothing = UNDECIDED if names else FITS
        return StatisticsFit(nothing, count, (), None, float("nan"), float("nan"))
    watch = _Watch(list(names), score)
    try:
        parts = [watch.used({k: a[i::PARTS] for k, a in chosen.items()}) for i in range(PARTS)]
    except _Unseen:
        parts = []
    called = [layer for layer in watch.called if all(layer in seen for _, seen in parts)]
    if not parts or not called:
        return StatisticsFit(UNDECIDED, count, (), None, float("nan"), float("nan"))
    fits = tuple(_fit(names[layer], layer, [seen[layer] for _, seen in parts]) for layer in called)
    used = {name: _joined([outputs[name] for outputs, _ in parts], count) for name in parts[0][0]}
    own = watch.own(chosen)
    halves = [watch.own({k: a[i::2] for k, a in chosen.items()}) for i in range(2)]
    half = {name: _joined([outputs[name] for outputs in halves], count) for name in own}
    effect, noise = _distance(used, own), _distance(half, own)
    share = initial_share([fit.residue for fit in fits])
    return StatisticsFit(verdict(share, effect, noise), count, fits, share, effect, noise)


class _Unseen(Exception):
    """A layer is called inside a tf.function, where what it is given can't be seen."""


class _Watch:
    """Calls the model, and keeps what its statistics layers are given."""

    def __init__(self, layers: list[keras.layers.Layer], score: Score):
        self.called: list[keras.layers.Layer] = []
        self._layers = layers
        self._score = score
        self._is_probe = probe_detector()

    def used(
        self, features: Arrays
    ) -> tuple[dict[str, np.ndarray], dict[keras.layers.Layer, Moments]]:
        """The scores with the statistics in use, and the moments of what each layer is given."""
        seen: dict[keras.layers.Layer, list[Moments]] = {}

        def watching(layer: keras.layers.Layer) -> Callable[..., Any]:
            call, signature = layer.call, inspect.signature(layer.call)

            def watched(*args: Any, **options: Any) -> Any:
                given = signature.bind(*args, **options).arguments
                if tf.inside_function():
                    raise _Unseen
                if not self._is_probe():
                    inputs = tf.cast(next(iter(given.values())), tf.float64)
                    found = channel_moments(inputs, layer.axis, given.get("mask"))
                    seen.setdefault(layer, []).append(Moments(*(v.numpy() for v in found)))
                    if layer not in self.called:
                        self.called.append(layer)
                return call(*args, **options)

            return watched

        with replaced_calls({layer: watching(layer) for layer in self._layers}):
            outputs = self._scores(features)
        return outputs, {layer: merged(moments) for layer, moments in seen.items()}

    def own(self, features: Arrays) -> dict[str, np.ndarray]:
        """The scores with the statistics of these features alone, as one batch."""

        def by_batch(layer: keras.layers.Layer) -> Callable[..., Any]:
            call, signature = layer.call, inspect.signature(layer.call)

            def called(*args: Any, **options: Any) -> Any:
                given = signature.bind(*args, **options)
                given.arguments["training"] = True
                return call(*given.args, **given.kwargs)

            return called

        with _kept(self._layers), replaced_calls({x: by_batch(x) for x in self._layers}):
            return self._scores(features)

    def _scores(self, features: Arrays) -> dict[str, np.ndarray]:
        outputs = self._score({name: tf.constant(array) for name, array in features.items()})
        return {
            name: tf.cast(output, tf.float64).numpy()
            for name, output in outputs.items()
            if output.dtype.is_floating
        }


@contextmanager
def _kept(layers: list[keras.layers.Layer]) -> Iterator[None]:
    """What training moves, put back afterwards."""
    kept = [(v, v.numpy()) for layer in layers for v in moving_variables(layer)]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def _fit(name: str, layer: keras.layers.Layer, parts: list[Moments]) -> LayerFit:
    sample = merged(parts)
    made = [
        read(initializer(variable.shape, dtype=variable.dtype))
        for variable, initializer in (
            (layer.moving_mean, layer.moving_mean_initializer),
            (layer.moving_variance, layer.moving_variance_initializer),
        )
    ]
    used = Used(read(layer.moving_mean), read(layer.moving_variance), *made)
    std, data_std = (np.sqrt(v + layer.epsilon) for v in (used.variance, sample.variance))
    off = np.abs(used.mean - sample.mean) / data_std + np.abs(np.log(std / data_std))
    worst = int(np.argmax(np.where(sample.count > 0, off, -1)))
    return LayerFit(
        name=name,
        residue=residue(parts, used),
        channel=worst,
        mean=float(used.mean[worst]),
        data_mean=float(sample.mean[worst]),
        std=float(std[worst]),
        data_std=float(data_std[worst]),
    )


def _spread(examples: Arrays) -> Arrays:
    """As many examples as are scored in one batch, evenly spread."""
    count = len(next(iter(examples.values())))
    row = sum(array[:1].nbytes for array in examples.values())
    most = min(count, MOST, max(FEWEST, MOST_BYTES // max(row, 1)))
    rows = np.linspace(0, count - 1, most).astype(int)
    return {name: array[rows] for name, array in examples.items()}


def _joined(parts: list[np.ndarray], count: int) -> np.ndarray:
    """The scores of parts that took every so manieth example, in the examples' order."""
    joined = np.empty((count, *parts[0].shape[1:]))
    for i, part in enumerate(parts):
        joined[i :: len(parts)] = part
    return joined


def _distance(scores: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]) -> float:
    """The farthest any output is, in standard deviations of its values over the examples."""
    distances = []
    for name, values in own.items():
        if values.ndim and len(values) and np.isfinite(values).all():
            spread = np.sqrt(np.mean(np.var(values, axis=0)))
            moved = np.sqrt(np.mean(np.square(scores[name] - values)))
            distances.append(moved / spread if spread > 0 else 0.0 if moved == 0 else np.inf)
    return float(max(distances, default=np.nan))
