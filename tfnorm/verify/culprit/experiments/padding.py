"""The same batch, padded longer: what takes the padding for values."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from tfnorm.verify.culprit.experiments.experiment import Accusation, PairExperiment, Subject
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.rounding import other_blocks
from tfnorm.verify.culprit.rows import Alignment
from tfnorm.verify.culprit.search import Found

_NOTHING: dict[str, str | bytes] = {"U": "", "S": b"", "O": b""}


class Padding(PairExperiment):
    """Zeros, or empty strings, follow after the variable-length inputs.

    Args:
        unpadded: the inputs in which they are values, and those of the same length with them.
    """

    def __init__(self, unpadded: Collection[str] = ()):
        self._unpadded = unpadded

    def pairs(self, subject: Subject) -> Iterator[Pair]:
        """One pair for each length that the inputs have; those of equal length grow together."""
        axes = subject.batches.variable_axes
        everything = subject.batches.take(0, subject.batches.count)
        for given in sorted({everything[name].shape[axis] for name, axis in axes} - {0}):
            grown = [(name, axis) for name, axis in axes if everything[name].shape[axis] == given]
            if any(name in self._unpadded for name, _ in grown):
                continue
            lengths = np.max([_lengths(everything[name], axis) for name, axis in grown], axis=0)
            # Examples without padding: what the padding that others have does to itself is no matter.
            length = int(lengths.max()) or given
            rows = np.flatnonzero(lengths == lengths.max())
            batch = subject.batches.rows(np.resize(rows, subject.size))
            more = length // 2 + 3
            longer = dict(batch)
            for name, axis in grown:
                batch[name] = batch[name].take(range(length), axis)
                longer[name] = _pad(longer[name].take(range(length), axis), axis, more)
            yield Pair(
                (batch, longer),
                batch,
                Alignment(length, (length, length + more), together=True),
                other_blocks(subject.probe.epsilon),
                longer=True,
            )

    def accuse(self, found: Found) -> Accusation:
        """The op that takes the padding in."""
        return Accusation(
            found.region,
            found.node,
            f"{found.region.nodes[found.node].op} takes the padding for values",
            "Mask the padding, so that an example scores the same whatever the longest of its batch is.",
        )


def _lengths(array: np.ndarray, axis: int) -> np.ndarray:
    """For each row, the number of steps up to the last one that isn't nothing."""
    nothing = array == _NOTHING.get(array.dtype.kind, 0)
    if array.dtype.kind == "O":
        nothing |= array == ""
    others = tuple(i for i in range(1, array.ndim) if i != axis)
    values = ~nothing.all(axis=others)
    steps = np.arange(1, array.shape[axis] + 1)
    return np.asarray((values * steps).max(axis=1))


def _pad(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    widths = [(0, count if i == axis else 0) for i in range(array.ndim)]
    return np.pad(array, widths, constant_values=_NOTHING.get(array.dtype.kind, 0))
