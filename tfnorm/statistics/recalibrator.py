"""Recalibration by partial results, from wherever they come, a pass after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from tfnorm.errors import InputError
from tfnorm.statistics.moves import Before, Recalibration
from tfnorm.statistics.observation.moving import (
    Statistics,
    assign,
    digest,
    moving_variables,
    named_layers,
    read,
    statistics_of,
    variance,
)
from tfnorm.statistics.observation.partial import Partial
from tfnorm.statistics.observation.population import Population

PATIENCE = 100
"""Passes that a layer that feeds itself has to settle, beyond those that others need."""

SETTLED = 1e-6
"""Standard deviations, and share of the variance: a move this small is rounding."""

FLOAT32_STEP = float(np.finfo(np.float32).eps)


class NotFiniteError(InputError):
    """A layer is given what is not finite.

    Attributes:
        layer: its name.
    """

    def __init__(self, layer: str, message: str):
        super().__init__(message)
        self.layer = layer

    def in_files(self, files: Sequence[str | Path], total: int) -> NotFiniteError:
        """It with where to look: the files in which that is so, of how many."""
        if not files:
            return self
        where = f"they are so in {len(files):,} of {total:,} files, such as {files[0]}"
        return NotFiniteError(self.layer, f"{self}; {where}")


class Recalibrator:
    """Makes a model's moving statistics those of a dataset that others read: what recalibration decides.

    A pass is a `Partial` of the whole dataset, merged from those of its parts, each of which an `Observer`
    made with `statistics`. There are as many passes as `recalibrate_statistics` needs, which is this with an
    observer of its own; whoever has an engine that merges, such as Spark, Beam or Ray, needs no more.

    Args:
        model: a built model, which `take` changes.

    Raises:
        InputError: it is not built, has no layer with moving statistics, or only frozen ones.

    Attributes:
        done: what was done, as `recalibrate_statistics` has it; None as long as a pass is to come.
        label: which pass comes, and of how many where that is known, such as "pass 2 of 3".

    Example:

        >>> model = keras.Sequential([keras.Input((1,)), BatchNormalization(name="bn")])
        >>> parts = [np.array([[1.0], [3.0]]), np.array([[8.0]])]
        >>> observer, recalibrator = Observer(model), Recalibrator(model)
        >>> while recalibrator.done is None:
        ...     now = recalibrator.statistics
        ...     whole, *others = [observer.observe(part, statistics=now) for part in parts]
        ...     for other in others:
        ...         whole.merge(other)
        ...     recalibrator.take(whole)
        >>> recalibrator.done.examples, model.get_layer("bn").moving_mean.numpy().tolist()
        (3, [4.0])
    """

    def __init__(self, model: keras.Model):
        self._names = named_layers(model)
        self._model = model
        self._targets = {name: layer for layer, name in self._names.items() if layer.trainable}
        if not self._targets:
            raise InputError(
                f"all layers with moving statistics in model {model.name!r} are frozen "
                "(trainable=False); set trainable=True on those to recalibrate"
            )
        self._kept = [(v, v.numpy()) for x in self._targets.values() for v in moving_variables(x)]
        self._before = {name: Before(layer) for name, layer in self._targets.items()}
        self._errors: dict[str, np.ndarray] = {}
        self._passes = 0
        self.label = "pass 1"
        self.done: Recalibration | None = None

    @property
    def statistics(self) -> Statistics:
        """The moving statistics that the model has now, as plain data: what the next pass is made with."""
        return statistics_of(self._names)

    def take(self, found: Partial) -> None:
        """End a pass: what it tells is assigned.

        Args:
            found: of the whole dataset.

        Raises:
            InputError: it was made with other statistics than the model has, the inputs of a layer are not
                finite, no layer is given a value, or one that feeds itself doesn't settle.
        """
        if found.statistics != digest(self._names):
            raise InputError(
                "a partial result was made with other moving statistics than the model has; accepted: one "
                "made with Recalibrator.statistics as it is in this pass"
            )
        self._passes += 1
        reached = {
            name: population
            for name, population in found.layers.items()
            if name in self._targets and population.count.any()
        }
        if not reached:
            raise InputError(
                f"no layer with moving statistics in model {self._model.name!r} was given a "
                "value: the batches are empty, or no such layer is called in inference"
            )
        levels = _levels(found.upstream, reached)
        moved = [name for name, population in reached.items() if self._moves(name, population)]
        # What is given to a layer of level k is right once those of the levels before it are.
        exact = [x for x in reached if not moved or levels is None or levels[x] == self._passes]
        for name in exact:
            self._check_finite(name, reached[name])
            assign(self._targets[name], reached[name])
            self._errors[name] = reached[name].standard_error
        if levels is not None:
            last = max(levels.values())
        else:
            last = len(reached) + (PATIENCE if found.called_again else 0)
        feeds_itself = levels is None and found.called_again
        if not moved or (self._passes >= last and not feeds_itself):
            moves = [self._before[name].move(name, self._errors[name]) for name in reached]
            self.done = Recalibration(moves, found.examples, self._passes)
            return
        if self._passes >= last:
            raise InputError(
                f"the statistics of layer {moved[0]!r} don't settle in {self._passes} passes: "
                "the model calls a layer several times, which feeds itself or is given other values "
                "in each pass; give a dataset that stays the same"
            )
        of = f" of {last}" if levels is not None else f" of {last} at most"
        self.label = f"pass {self._passes + 1}{of}"

    def undo(self) -> None:
        """Give the model the moving statistics that it had at first."""
        for variable, value in self._kept:
            variable.assign(value)

    def _moves(self, name: str, population: Population) -> bool:
        """Whether the population's statistics are others than the layer's by more than rounding."""
        layer = self._targets[name]
        mean, moving_variance = read(layer.moving_mean), read(layer.moving_variance)
        rounding = SETTLED * np.sqrt(moving_variance) + FLOAT32_STEP * np.abs(mean)
        still = np.abs(population.mean - mean) <= rounding
        still &= np.abs(variance(layer, population) - moving_variance) <= SETTLED * moving_variance
        return not np.all(still | (population.count == 0))

    def _check_finite(self, name: str, population: Population) -> None:
        layer = self._targets[name]
        most = np.finfo(layer.moving_mean.dtype).max
        broken = ~(np.abs(population.mean) <= most) | ~(variance(layer, population) <= most)
        if broken.any():
            raise NotFiniteError(
                name,
                f"the inputs of layer {name!r} are not finite in {broken.sum()} of its {broken.size} "
                "channels; look for NaN or infinite values in the dataset or in the model's weights",
            )


def _levels(
    upstream: Mapping[str, frozenset[str]] | None, reached: Mapping[str, Population]
) -> dict[str, int] | None:
    """How many layers, itself and one above the other, each depends on; None where one feeds itself."""
    if upstream is None or not reached.keys() <= upstream.keys():
        return None
    levels: dict[str, int] = {}
    while len(levels) < len(reached):
        ready = [
            x for x in reached if x not in levels and upstream[x] & reached.keys() <= levels.keys()
        ]
        if not ready:
            return None
        levels |= dict.fromkeys(ready, 1 + max(levels.values(), default=0))
    return levels
