"""How far moving statistics are from the data's: table, JSON and plot are views of one report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

from tfnorm.statistics.observation.batches import Batches, Dataset
from tfnorm.statistics.observation.moving import Population, ever_updated, read, variance
from tfnorm.statistics.observation.observe import Observer
from tfnorm.statistics.progress import progress_bar

if TYPE_CHECKING:
    from rich.console import RenderableType

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
        values: how many the channel that was given the most was given.
        updated: whether the moving statistics are no longer at their initial values.
        frozen: whether `trainable` is False.
        by_batch: whether it was called with `training=True`, and so normalizes by the batch in
            inference too.
        mean_difference: `[C]`, (moving mean - mean) / sqrt(variance + epsilon), where mean and
            variance are the data's; NaN for a channel without values, inf where a statistic is not
            finite.
        std_ratio: `[C]`, sqrt((moving variance + epsilon) / (variance + epsilon)), likewise.
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
        if self.mean is None:
            return "not called"
        if not np.isfinite([self.mean.worst, self.std.worst]).all():
            return "not finite"
        if self.by_batch:
            return "by batch"
        if not self.updated:
            return "never updated"
        near = abs(self.mean.worst) <= MEAN_TOLERANCE and _factor(self.std.worst) <= STD_TOLERANCE
        return "ok" if near else "off"

    def to_dict(self) -> dict:
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
class StatisticsReport:
    """Whether moving statistics are those of a dataset. Print it for a table and what to do next.

    Attributes:
        model: its name.
        batches: how many it was run on.
        layers: those with moving statistics, in the order in which the model calls them.
    """

    model: str
    batches: int
    layers: list[LayerStatistics]

    @property
    def passed(self) -> bool:
        """Whether each layer that is called in inference, and there is one, is "ok"."""
        return {layer.state for layer in self.layers} - {"not called"} == {"ok"}

    def to_dict(self) -> dict:
        """The report as dicts, lists and plain values; a number that isn't finite is None."""
        return {
            "model": self.model,
            "batches": self.batches,
            "passed": self.passed,
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def to_json(self, indent: int | None = 2) -> str:
        """The report as standard JSON; a number that isn't finite is null.

        Args:
            indent: spaces a level; None for one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def plot(self, path: str | Path) -> None:
        """Draw each channel of each layer: how far its mean is off, and its standard deviation.

        Needs matplotlib: `pip install matplotlib`.

        Args:
            path: the file to write; its ending says which format, such as `.png`, `.svg` or `.pdf`.

        Raises:
            InputError: matplotlib is not installed or doesn't write such files, or there is no such
                folder.
        """
        from tfnorm.statistics.report.plot import plot

        plot(self, path, mean_tolerance=MEAN_TOLERANCE, std_tolerance=STD_TOLERANCE)

    def __rich__(self) -> RenderableType:
        from tfnorm.statistics.report.text import render

        return render(self)

    def __str__(self) -> str:
        from tfnorm.statistics.report.text import to_text

        return to_text(self)


def statistics_report(
    model: keras.Model, dataset: Dataset, steps: int | None = None
) -> StatisticsReport:
    """Compare a model's moving statistics with those of a dataset.

        difference of means = (mu_moving - mu) / sqrt(var + epsilon)
        ratio of standard deviations = sqrt((var_moving + epsilon) / (var + epsilon))

    mu and var are those of what the layer is given in inference, by the model as it is, over the
    whole dataset (one pass). Every tfnorm.BatchNormalization, tfnorm.Dice and
    keras.layers.BatchNormalization is in it, at any depth, frozen ones too. The model is not
    changed.

    Args:
        model: a built model; it need not be compiled. It is called without `training`, as an export
            calls it.
        dataset: what the model was trained on, as `recalibrate_statistics` takes it.
        steps: batches to take at most; None for all.

    Returns:
        The report: `print` it, or take its `to_json()`, `plot(path)`, `passed` and `layers`.

    Raises:
        InputError: the model is not built or has no such layer, the dataset is empty or endless, or
            the model refuses a batch.

    Example:

        >>> model = keras.Sequential([keras.Input((1,)), BatchNormalization(name="bn")])
        >>> report = statistics_report(model, [np.array([[1.0], [3.0]])])
        >>> report.layers[0].state
        'never updated'
        >>> round(report.layers[0].mean.worst, 2), report.layers[0].std.worst
        (-2.0, 1.0)
    """
    observer = Observer(model, training=None)
    batches = Batches(dataset, steps)
    with progress_bar(batches.count()) as start:
        return observed_report(observer, batches, start("reading"))


def observed_report(
    observer: Observer, batches: Batches, advance: Callable[[], None] = lambda: None
) -> StatisticsReport:
    """The report on one pass of an observer."""
    count = 0

    def counted() -> None:
        nonlocal count
        count += 1
        advance()

    populations = observer.populations(batches, counted)
    return StatisticsReport(
        model=observer.model.name,
        batches=count,
        layers=[
            _compared(observer.names[layer], layer, population, layer in observer.by_batch)
            for layer, population in populations.items()
        ],
    )


def _compared(
    name: str, layer: keras.layers.Layer, population: Population, by_batch: bool
) -> LayerStatistics:
    seen = population.count > 0
    data = variance(layer, population) + layer.epsilon
    moving = read(layer.moving_variance) + layer.epsilon

    def per_channel(values: np.ndarray) -> np.ndarray:
        return np.where(seen, np.where(np.isfinite(values), values, np.inf), np.nan)

    with np.errstate(divide="ignore", invalid="ignore"):
        difference = (read(layer.moving_mean) - population.mean) / np.sqrt(data)
        ratio = np.sqrt(moving / data)
    return LayerStatistics(
        name=name,
        type=f"{type(layer).__module__.partition('.')[0]}.{type(layer).__name__}",
        values=int(population.count.max()),
        updated=ever_updated(layer),
        frozen=not layer.trainable,
        by_batch=by_batch,
        mean_difference=per_channel(difference),
        std_ratio=per_channel(ratio),
    )


def _summary(
    values: np.ndarray, badness: Callable, size: Callable[[np.ndarray], np.ndarray]
) -> Summary | None:
    if np.isnan(values).all():
        return None
    channel = int(np.nanargmax(badness(values)))
    return Summary(float(values[channel]), channel, float(np.nanmedian(size(values))))


def _factor(ratio: np.ndarray | float) -> np.ndarray | float:
    """How many times too large or too small."""
    return np.exp(np.abs(np.log(ratio)))


def _summary_dict(summary: Summary | None) -> dict | None:
    if summary is None:
        return None
    return {
        name: value if math.isfinite(value) else None for name, value in summary._asdict().items()
    }
