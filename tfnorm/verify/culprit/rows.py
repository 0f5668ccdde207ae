"""Find the same examples' rows in tensors of two batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Alignment:
    """Where the watched rows stand in two batches.

    Args:
        watched: how many rows are watched.
        sizes: the two batch sizes.
        last: for each batch, whether the watched rows are its last ones; else they are its first.
        together: whether a tensor holds them on each axis that grows, as attention between the steps
            of a sequence does; else what grows on another axis are neighbours.
    """

    watched: int
    sizes: tuple[int, int]
    last: tuple[bool, bool] = (False, False)
    together: bool = False

    def views(
        self, alone: Sequence[int], first: np.ndarray, second: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The watched rows of a tensor in both batches, in each way to see its batch axis.

        An axis that grows with the batch holds its rows, perhaps folded with other axes (`[B * T, F]`,
        `[heads * B, T]`). One that differs otherwise is ragged: values or paddings of the watched
        rows come first (or last) there. All others are compared whole.

        Args:
            alone: the tensor's shape for the watched rows by themselves.
            first: its value in the first batch.
            second: its value in the second.
        """
        if not len(alone) == first.ndim == second.ndim:
            return
        shapes = list(zip(alone, first.shape, second.shape, strict=True))
        growing = [axis for axis, sizes in enumerate(shapes) if self._grows(*sizes)]
        for axis, sizes in enumerate(shapes):
            if len(set(sizes)) > 1 and axis not in growing:
                first, second = (
                    _end(array, axis, min(sizes), last)
                    for array, last in zip((first, second), self.last, strict=True)
                )
        if not growing:
            yield first, second
        for axes in [growing] if self.together and growing else [[axis] for axis in growing]:
            folds = [_divisors(alone[axis] // self.watched) for axis in axes]
            for outers in itertools.product(*folds):
                one, other = first, second
                # From the last axis on, so that those before stay where they are.
                for axis, outer in sorted(zip(axes, outers, strict=True), reverse=True):
                    one = self._cut(one, axis, outer, 0)
                    other = self._cut(other, axis, outer, 1)
                yield one, other

    def _cut(self, array: np.ndarray, axis: int, outer: int, batch: int) -> np.ndarray:
        unfolded = _unfold(array, axis, outer, self.sizes[batch])
        return _end(unfolded, axis + 1, self.watched, self.last[batch])

    def _grows(self, alone: int, first: int, second: int) -> bool:
        if alone == first == second or alone % self.watched:
            return False
        folded = alone // self.watched
        return (first, second) == (folded * self.sizes[0], folded * self.sizes[1])


def _divisors(number: int) -> list[int]:
    return [k for k in range(1, number + 1) if number % k == 0]


def _end(array: np.ndarray, axis: int, count: int, last: bool) -> np.ndarray:
    start = array.shape[axis] - count if last else 0
    return array[(slice(None),) * axis + (slice(start, start + count),)]


def _unfold(array: np.ndarray, axis: int, outer: int, size: int) -> np.ndarray:
    shape = array.shape
    inner = shape[axis] // (outer * size)
    return array.reshape(*shape[:axis], outer, size, inner, *shape[axis + 1 :])
