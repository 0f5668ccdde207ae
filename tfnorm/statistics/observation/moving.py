"""The moving statistics of a layer, tfnorm's or Keras's: found, read, set."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import layers_inside
from tfnorm.layers.moving_statistics import MovingStatistics


@dataclass(frozen=True, eq=False)
class Population:
    """What is left of all that a layer was given, `[C]` in float64 each.

    Attributes:
        count: how many values there were.
        mean: their mean; 0 where there were none.
        M2: the sum of their squared deviations from it.
        updates: how many calls of the layer had a value for the channel.
    """

    count: np.ndarray
    mean: np.ndarray
    M2: np.ndarray
    updates: np.ndarray


def statistics_layers(model: keras.Model) -> dict[keras.layers.Layer, str]:
    """The layers of a model, at any depth, that have moving statistics, and what to call each.

    A name is made of those of the layers around it, from the model down. (A layer's `path` is not:
    Keras fixes it where the layer is built, which may be before it becomes a part of the model.)
    """
    names: dict[keras.layers.Layer, str] = {}

    def add_inside(layer: keras.layers.Layer, prefix: str) -> None:
        for inner in layers_inside(layer):
            if inner not in names:
                names[inner] = prefix + inner.name
                add_inside(inner, f"{names[inner]}/")

    add_inside(model, "")
    return {
        layer: name
        for layer, name in names.items()
        if isinstance(layer, MovingStatistics | keras.layers.BatchNormalization) and layer.built
    }


def moving_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """All that training moves without a gradient."""
    variables = [layer.moving_mean, layer.moving_variance]
    if _renorm(layer):
        variables += [layer.moving_stddev, layer.renorm_mean, layer.renorm_stddev]
    if _counts_updates(layer):
        variables.append(layer.updates)
    return variables


def read(variable: keras.Variable | tf.Tensor) -> np.ndarray:
    """A variable in float64."""
    return np.asarray(tf.cast(tf.convert_to_tensor(variable), tf.float64))


def variance(layer: keras.layers.Layer, population: Population) -> np.ndarray:
    """What the moving variance stands for: the biased variance, or m / (m - 1) of it."""
    taken = getattr(layer, "unbiased_variance", False)
    return np.asarray(population.M2 / np.maximum(population.count - taken, 1))


def assign(layer: keras.layers.Layer, population: Population) -> None:
    """Make the moving statistics those of the population, for the channels that had values."""

    def put(variable: keras.Variable, value: np.ndarray) -> None:
        most = np.finfo(variable.dtype).max
        variable.assign(np.where(population.count > 0, np.clip(value, -most, most), read(variable)))

    exact = variance(layer, population)
    put(layer.moving_mean, population.mean)
    put(layer.moving_variance, exact)
    if _renorm(layer):
        stddev = np.sqrt(exact + layer.epsilon)
        put(layer.moving_stddev, stddev)
        put(layer.renorm_mean, population.mean)
        put(layer.renorm_stddev, stddev)
    if _counts_updates(layer):
        put(layer.updates, population.updates)


def ever_updated(layer: keras.layers.Layer) -> bool:
    """Whether the moving statistics are no longer what their initializers give."""
    if _counts_updates(layer):
        return bool(np.any(read(layer.updates) > 0))
    return any(
        np.any(read(variable) != read(initializer(variable.shape, dtype=variable.dtype)))
        for variable, initializer in (
            (layer.moving_mean, layer.moving_mean_initializer),
            (layer.moving_variance, layer.moving_variance_initializer),
        )
    )


def _renorm(layer: keras.layers.Layer) -> bool:
    return bool(getattr(layer, "renorm", False))


def _counts_updates(layer: keras.layers.Layer) -> bool:
    return hasattr(layer, "updates")
