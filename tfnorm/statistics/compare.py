"""Moving statistics beside those of a dataset."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from tfnorm.errors import InputError
from tfnorm.reports.provenance import Stopwatch
from tfnorm.statistics.observation.batches import Batches, Dataset
from tfnorm.statistics.observation.moving import ever_updated, named_layers, read, variance
from tfnorm.statistics.observation.observe import Observer
from tfnorm.statistics.observation.partial import Partial
from tfnorm.statistics.observation.population import Population
from tfnorm.statistics.progress import progress_bar
from tfnorm.statistics.report.report import StatisticsReport
from tfnorm.statistics.report.results import LayerStatistics


def statistics_report(
    model: keras.Model, dataset: Dataset | Partial, steps: int | None = None
) -> StatisticsReport:
    """Compare a model's moving statistics with those of a dataset.

        difference of means = (mu_moving - mu) / sqrt(var + epsilon)
        ratio of standard deviations = sqrt((var_moving + epsilon) / (var + epsilon))

    mu and var are the mean and the variance of the layer's inputs in inference, by the model as it is, over
    the whole dataset (one pass). Every tfnorm.BatchNormalization, tfnorm.Dice and
    keras.layers.BatchNormalization is compared, at any depth, also frozen ones. The model is not changed.

    Args:
        model: a built model; it need not be compiled. It is called without `training`, as an export
            calls it.
        dataset: what the model was trained on, as `recalibrate_statistics` takes it; or a `Partial` of it,
            which observers of `training=None` made wherever the data are.
        steps: how many batches to take at most; None for all.

    Returns:
        The report: `print` it, or take its `to_json()`, `plot(path)`, `passed` and `layers`.

    Raises:
        InputError: the model is not built or has no such layer, the dataset is empty or endless, or
            the model refuses a batch, or the partial result is of another model.

    Example:

        >>> model = keras.Sequential([keras.Input((1,)), BatchNormalization(name="bn")])
        >>> report = statistics_report(model, [np.array([[1.0], [3.0]])])
        >>> report.layers[0].state
        'never updated'
        >>> round(report.layers[0].mean.worst, 2), report.layers[0].std.worst
        (-2.0, 1.0)
    """
    watch = Stopwatch()
    if not isinstance(dataset, Partial):
        observer = Observer(model, training=None)
        batches = Batches(dataset, steps)
        with progress_bar(batches.count()) as start:
            dataset = observer.observe(batches, advance=start("reading"))
    return replace(partial_report(model, dataset), provenance=watch.provenance({"model": model}))


def partial_report(model: keras.Model, found: Partial) -> StatisticsReport:
    """The report on what an observer of the model has found.

    Raises:
        InputError: it is of another model.
    """
    layers = {name: layer for layer, name in named_layers(model).items()}
    if layers.keys() != found.layers.keys():
        raise InputError(
            f"the partial result is of a model with the layers {', '.join(found.layers)}; accepted: one of "
            f"model {model.name!r}, which has {', '.join(layers)}"
        )
    return StatisticsReport(
        model=model.name,
        batches=found.batches,
        layers=[
            _compared(name, layers[name], population, name in found.by_batch)
            for name, population in found.layers.items()
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
