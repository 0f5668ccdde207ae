"""Recalibration that says what it moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np

from tfnorm.statistics.observation.batches import Dataset
from tfnorm.statistics.observation.moving import read, statistics_layers
from tfnorm.statistics.recalibrate import recalibrate_statistics


@dataclass(frozen=True)
class Move:
    """How far recalibration moved the statistics of a layer, in the channel that it moved farthest.

    Attributes:
        layer: its name after those of the models and layers around it.
        channel: the one that moved farthest.
        mean: by how many of its new standard deviations the moving mean moved.
        std: the new standard deviation over the one before, both sqrt(variance + epsilon).
    """

    layer: str
    channel: int
    mean: float
    std: float

    def __str__(self) -> str:
        return (
            f"{self.layer}: at most, in channel {self.channel}, the mean by {self.mean:.2g} standard "
            f"deviations and the standard deviation to {self.std:.2f} of what it was"
        )


def recalibrated(model: keras.Model, dataset: Dataset) -> tuple[Move, ...]:
    """Recalibrate a model, as `recalibrate_statistics` does, and tell what that moved.

    Returns:
        A move for each layer that was recalibrated, in the order of their calls.
    """
    layers = {name: layer for layer, name in statistics_layers(model).items()}
    before = {name: _read(layer) for name, layer in layers.items()}
    names: Iterable[str] = recalibrate_statistics(model, dataset)
    return tuple(_move(name, *before[name], *_read(layers[name])) for name in names)


def _read(layer: keras.layers.Layer) -> tuple[np.ndarray, np.ndarray]:
    """The moving mean, and sqrt(moving variance + epsilon)."""
    return read(layer.moving_mean), np.sqrt(read(layer.moving_variance) + layer.epsilon)


def _move(
    name: str, mean: np.ndarray, std: np.ndarray, new_mean: np.ndarray, new_std: np.ndarray
) -> Move:
    by, to = np.abs(new_mean - mean) / new_std, new_std / std
    channel = int(np.argmax(by + np.abs(np.log(to))))
    return Move(name, channel, float(by[channel]), float(to[channel]))
