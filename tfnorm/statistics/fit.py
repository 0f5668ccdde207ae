"""Whether the statistics of a model fit examples, as its scores have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np

from tfnorm.statistics.judgement import (
    FITS,
    UNDECIDED,
    Moments,
    initial_share,
    merged,
    residue,
    verdict,
)
from tfnorm.statistics.observation.keras_watch import KerasWatch, Score
from tfnorm.statistics.results import LayerFit, StatisticsFit
from tfnorm.statistics.watch import Arrays, Unseen, Watch, Watched

PARTS = 8
"""Parts of the examples that are looked at by themselves, to learn how far they decide."""

FEWEST = 2 * PARTS
"""Examples that tell anything."""

MOST, MOST_BYTES = 4096, 1 << 24
"""Examples that are looked at, and how large they may be, as they are scored in one batch."""


def statistics_fit(model: keras.Model, score: Score, examples: Arrays) -> StatisticsFit:
    """Compare the statistics that a Keras model uses with those of examples.

    Args:
        model: a built model.
        score: calls it in inference mode: features by name in, outputs by name out.
        examples: input name -> `[examples, ...]`.

    Returns:
        What `judged` says; that they fit, where there are none, or all are frozen.
    """
    watch = KerasWatch(model, score)
    fit = _nothing(FITS, examples) if watch.empty else judged(watch, examples)
    return replace(fit, frozen=tuple(watch.frozen))


def judged(watch: Watch, examples: Arrays) -> StatisticsFit:
    """Compare the statistics that a model uses with those of examples, by their effect on its scores.

    The examples are scored with the statistics in use and with their own: those of all of them, and
    those of either half, which tell how far so few examples decide. Where a layer is given NaN or
    infinite values, the examples that have some, in an input or a score, are left out.

    Args:
        watch: the model.
        examples: input name -> `[examples, ...]`; of many, as many evenly spread as a batch holds.

    Returns:
        The verdict and what it rests on.
    """
    chosen = spread_evenly(examples)
    count = len(next(iter(chosen.values())))
    if count < FEWEST:
        return _nothing(UNDECIDED, chosen)
    try:
        parts = [watch.used({k: a[i::PARTS] for k, a in chosen.items()}) for i in range(PARTS)]
    except Unseen:
        parts = []
    called = [layer for layer in watch.called if all(layer in seen for _, seen in parts)]
    if not parts or not called:
        return _nothing(UNDECIDED, chosen)
    used = {name: _joined([outputs[name] for outputs, _ in parts], count) for name in parts[0][0]}
    if not all(np.isfinite(seen[layer].M2).all() for layer in called for _, seen in parts):
        finite = _finite([*chosen.values(), *used.values()])
        if finite.any() and not finite.all():
            return judged(watch, {name: array[finite] for name, array in chosen.items()})
    fits = tuple(_fit(layer, [seen[layer] for _, seen in parts]) for layer in called)
    own = watch.own(chosen)
    halves = [watch.own({k: a[i::2] for k, a in chosen.items()}) for i in range(2)]
    half = {name: _joined([outputs[name] for outputs in halves], count) for name in own}
    effect, noise = _distance(used, own), _distance(half, own)
    share = initial_share([fit.residue for fit in fits])
    at_least = None if share is None else share.at_least
    return StatisticsFit(verdict(share, effect, noise), count, fits, at_least, effect, noise)


def _finite(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Which examples have neither NaN nor an infinite value in any of the arrays, `[examples, ...]` each."""
    floating = [array for array in arrays if array.dtype.kind == "f"]
    rows = [np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in floating]
    return np.asarray(np.logical_and.reduce(rows))


def _nothing(said: str, examples: Arrays) -> StatisticsFit:
    """What is said where nothing was looked at."""
    count = len(next(iter(examples.values())))
    return StatisticsFit(said, count, (), None, float("nan"), float("nan"))


def _fit(layer: Watched, parts: list[Moments]) -> LayerFit:
    sample, used = merged(parts), layer.used
    std, data_std = (np.sqrt(v + layer.epsilon) for v in (used.variance, sample.variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        difference, ratio = (used.mean - sample.mean) / data_std, std / data_std
        off = np.abs(difference) + np.abs(np.log(ratio))
    seen = sample.count > 0
    worst = int(np.argmax(np.where(seen & ~np.isnan(off), off, -1)))
    return LayerFit(
        name=layer.name,
        residue=residue(parts, used),
        channel=worst,
        mean=float(used.mean[worst]),
        data_mean=float(sample.mean[worst]),
        std=float(std[worst]),
        data_std=float(data_std[worst]),
        mean_difference=tuple(np.where(seen, difference, np.nan).tolist()),
        std_ratio=tuple(np.where(seen, ratio, np.nan).tolist()),
    )


def spread_evenly(examples: Arrays) -> Arrays:
    """As many examples as are looked at in one batch, evenly spread."""
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
