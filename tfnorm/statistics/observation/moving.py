"""The moving statistics of a layer, tfnorm's or Keras's: found, read, set."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import layers_inside
from tfnorm.errors import InputError
from tfnorm.layers.moving_statistics import MovingStatistics
from tfnorm.statistics.observation.population import Population

Statistics = Mapping[str, list[list[float]]]
"""The name of a layer -> the values of each of its `moving_variables`."""


def statistics_layers(model: keras.Model) -> dict[keras.layers.Layer, str]:
    """The layers of a model, at any depth, that have moving statistics, and what to call each.

    A name is made of those of the layers around it, from the model down. (A layer's `path` is not:
    Keras fixes it where the layer is built, which may be before it becomes a part of the model.)
    """
    names: dict[keras.layers.Layer, str] = {}

    def add_inside(layer: keras.layers.Layer, prefix: str) -> None:
        for inner in layers_inside(layer):
            if inner not in names:
                names[inner] = _unused(prefix + inner.name, set(names.values()))
                add_inside(inner, f"{names[inner]}/")

    add_inside(model, "")
    return {
        layer: name
        for layer, name in names.items()
        if isinstance(layer, MovingStatistics | keras.layers.BatchNormalization) and layer.built
    }


def _unused(name: str, used: Collection[str]) -> str:
    """The name; with a number after it where layers of a class of one's own are called alike."""
    others = (f"{name} ({number})" for number in itertools.count(2))
    return next(x for x in itertools.chain([name], others) if x not in used)


def named_layers(model: keras.Model) -> dict[keras.layers.Layer, str]:
    """The layers that `statistics_layers` finds.

    Raises:
        InputError: `model` is no built model, has no such layer, or one without channels.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"model is a {type(model).__name__}; accepted: a built keras.Model")
    if not model.built:
        raise InputError(f"model {model.name!r} has no weights yet; call it on a batch first")
    names = statistics_layers(model)
    if not names:
        raise InputError(
            f"model {model.name!r} has no layer with moving statistics: no "
            "tfnorm.BatchNormalization, tfnorm.Dice or keras.layers.BatchNormalization"
        )
    for layer, name in names.items():
        if not layer.moving_mean.shape[0]:
            raise InputError(
                f"layer {name!r} of model {model.name!r} has no channels: its inputs have the size 0 "
                f"along axis {layer.axis}; accepted: 1 or more"
            )
    return names


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


def statistics_of(layers: Mapping[keras.layers.Layer, str]) -> Statistics:
    """The moving statistics of layers, as plain data."""
    return {
        name: [read(variable).tolist() for variable in moving_variables(layer)]
        for layer, name in layers.items()
    }


def set_statistics(layers: Mapping[keras.layers.Layer, str], given: Statistics) -> None:
    """Make the moving statistics of layers those that `statistics_of` gave of the same model elsewhere.

    Raises:
        InputError: they are of another model.
    """
    if {n: list(map(len, x)) for n, x in given.items()} != {
        n: list(map(len, x)) for n, x in statistics_of(layers).items()
    }:
        raise InputError(
            f"statistics are those of the layers {', '.join(given)}, or of others of their names; accepted: "
            f"those of the same model, which has {', '.join(layers.values())}"
        )
    for layer, name in layers.items():
        for variable, values in zip(moving_variables(layer), given[name], strict=True):
            variable.assign(values)


def digest(layers: Iterable[keras.layers.Layer]) -> str:
    """What tells the moving statistics of layers from others."""
    found = hashlib.sha256()
    for layer in layers:
        for variable in moving_variables(layer):
            found.update(read(variable).tobytes())
    return found.hexdigest()[:12]


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
