"""What recalibration moved, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from tfnorm.reports.document import Document, plain
from tfnorm.statistics.observation.moving import read


@dataclass(frozen=True)
class Move:
    """How far recalibration moved the statistics of a layer, in the channel that it moved farthest.

    Attributes:
        layer: its name after those of the models and layers around it.
        channel: the one that moved farthest.
        mean: by how many of its new standard deviations the moving mean moved.
        std: the new standard deviation over the one before, both sqrt(variance + epsilon).
        standard_error: of the new mean, in new standard deviations, in the channel where it is largest; inf
            where that has the values of one example.
    """

    layer: str
    channel: int
    mean: float
    std: float
    standard_error: float

    def __str__(self) -> str:
        return (
            f"{self.layer}: at most, in channel {self.channel}, the mean by {self.mean:.2g} standard "
            f"deviations and the standard deviation to {self.std:.2f} of what it was"
        )


class Recalibration(list[str], Document):
    """The names of the recalibrated layers, in the order of their calls, and what was done.

    Attributes:
        examples: how many the statistics are those of.
        passes: how often the dataset was run through.
        moves: one for each layer.
    """

    def __init__(self, moves: Iterable[Move], examples: int, passes: int):
        self.moves = tuple(moves)
        self.examples = examples
        self.passes = passes
        super().__init__(move.layer for move in self.moves)

    @property
    def worst(self) -> Move:
        """Of the layer that has the mean with the largest standard error."""
        return max(self.moves, key=lambda move: move.standard_error)

    @property
    def standard_error(self) -> float:
        """The largest of any mean, in standard deviations of its channel.

        About 1 / sqrt(examples): so far may the mean be off, as these are not all examples that there could
        be. The values of one example count as one, as they are alike; those that a mask leaves out don't.
        """
        return self.worst.standard_error

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values; a number that isn't finite is None."""
        return {
            "examples": self.examples,
            "passes": self.passes,
            "standard_error": plain(self.standard_error),
            "layers": [plain(asdict(move)) for move in self.moves],
        }

    def __str__(self) -> str:
        passes = "1 pass" if self.passes == 1 else f"{self.passes} passes"
        return (
            f"{self.examples:,} examples, {passes}; the worst mean, in layer {self.worst.layer!r}, has a "
            f"standard error of {self.standard_error:.2g} standard deviations"
        )


class Before:
    """The statistics of a layer, to be compared with later ones."""

    def __init__(self, layer: keras.layers.Layer):
        self._layer = layer
        self._mean, self._std = self._read()

    def move(self, name: str, standard_error: np.ndarray) -> Move:
        """How far they have moved.

        Args:
            name: of the layer.
            standard_error: `[C]`, of the new means; NaN for a channel without values.
        """
        mean, std = self._read()
        by, to = np.abs(mean - self._mean) / std, std / self._std
        channel = int(np.argmax(by + np.abs(np.log(to))))
        with np.errstate(invalid="ignore"):
            error = np.where(standard_error == 0, 0.0, standard_error / std)
        return Move(name, channel, float(by[channel]), float(to[channel]), float(np.nanmax(error)))

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        """The moving mean, and sqrt(moving variance + epsilon)."""
        layer = self._layer
        return read(layer.moving_mean), np.sqrt(read(layer.moving_variance) + layer.epsilon)
