"""How far moving statistics are from the data's, as plain data that knows none of its views."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tfnorm.reports.provenance import Provenance

MEAN_TOLERANCE = 0.25
"""Standard deviations by which a moving mean may be off in the worst channel."""

STD_TOLERANCE = 1.25
"""Factor by which a moving standard deviation may be off in the worst channel, either way."""


class Summary(NamedTuple):
    """A figure of each channel over the channels: the worst, which channel's it is, the median."""

    worst: float
    channel: int
    median: float


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """A layer's moving statistics beside those of what the layer is given in inference.

    Attributes:
        name: its name after those of the models and layers around it.
        type: its class, such as "tfnorm.Dice".
        values: how many values the channel with the most values was given.
        updated: whether the moving statistics are no longer at their initial values.
        frozen: whether `trainable` is False.
        by_batch: whether it was called with `training=True`, and so normalizes by the batch in
            inference too.
        mean_difference: `[C]`, (moving mean - mean) / sqrt(variance + epsilon), where mean and
            variance are the data's; NaN for a channel without values, inf where a statistic is not
            finite.
        std_ratio: `[C]`, sqrt((moving variance + epsilon) / (variance + epsilon)), likewise.

    Example:

        >>> model = keras.Sequential([keras.Input((1,)), tfnorm.BatchNormalization(name="bn")])
        >>> layer = tfnorm.statistics_report(model, np.ones((8, 1), np.float32)).layers[0]
        >>> layer.name, layer.state
        ('bn', 'never updated')
    """

    name: str
    type: str
    values: int
    updated: bool
    frozen: bool
    by_batch: bool
    mean_difference: np.ndarray
    std_ratio: np.ndarray

    @property
    def mean(self) -> Summary | None:
        """The mean difference farthest from 0, and the median size; None without values."""
        return _summary(self.mean_difference, np.abs, np.abs)

    @property
    def std(self) -> Summary | None:
        """The ratio farthest from 1, either way, and the median; None without values."""
        return _summary(self.std_ratio, _factor, np.asarray)

    @property
    def state(self) -> str:
        """The first that holds: not called, not finite, by batch, never updated, off, ok.

        Off is a moving mean more than 0.25 standard deviations from the data's in any channel, or a
        moving standard deviation more than 1.25 times the data's or less than its 1.25th part.
        """
        mean, std = self.mean, self.std
        if mean is None or std is None:
            return "not called"
        if not np.isfinite([mean.worst, std.worst]).all():
            return "not finite"
        if self.by_batch:
            return "by batch"
        if not self.updated:
            return "never updated"
        near = abs(mean.worst) <= MEAN_TOLERANCE and _factor(std.worst) <= STD_TOLERANCE
        return "ok" if near else "off"

    def to_dict(self) -> dict[str, Any]:
        """The layer as dicts and plain values; a number that isn't finite is None."""
        return {
            "name": self.name,
            "type": self.type,
            "channels": len(self.mean_difference),
            "values": self.values,
            "updated": self.updated,
            "frozen": self.frozen,
            "by_batch": self.by_batch,
            "state": self.state,
            "mean_difference": _summary_dict(self.mean),
            "std_ratio": _summary_dict(self.std),
        }


@dataclass(frozen=True)
class StatisticsResult:
    """Whether moving statistics are those of a dataset.

    Attributes:
        model: its name.
        batches: how many batches the model was run on.
        layers: the layers with moving statistics, in the order in which the model calls them.
        provenance: the versions of the packages, when the report was made, how long it took, and a
            fingerprint of the model; None where that was not kept. It does not count when reports are
            compared.
    """

    model: str
    batches: int
    layers: list[LayerStatistics]
    provenance: Provenance | None = field(default=None, compare=False)

    @property
    def passed(self) -> bool:
        """Whether each layer that is called in inference, and there is one, is "ok"."""
        return {layer.state for layer in self.layers} - {"not called"} == {"ok"}


def _summary(
    values: np.ndarray,
    badness: Callable[[np.ndarray], np.ndarray],
    size: Callable[[np.ndarray], np.ndarray],
) -> Summary | None:
    if np.isnan(values).all():
        return None
    channel = int(np.nanargmax(badness(values)))
    return Summary(float(values[channel]), channel, float(np.nanmedian(size(values))))


def _factor(ratio: np.ndarray | float) -> np.ndarray:
    """How many times too large or too small."""
    return np.asarray(np.exp(np.abs(np.log(ratio))))


def _summary_dict(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return {
        name: value if math.isfinite(value) else None for name, value in summary._asdict().items()
    }
