"""Find the same examples' rows in tensors of two batches."""

from __future__ import annotations

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
    """

    watched: int
    sizes: tuple[int, int]
    last: tuple[bool, bool] = (False, False)

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
        for axis in growing:
            folded = alone[axis] // self.watched
            for outer in (k for k in range(1, folded + 1) if folded % k == 0):
                one, other = (
                    _end(_unfold(array, axis, outer, size), axis + 1, self.watched, last)
                    for array, size, last in zip(
                        (first, second), self.sizes, self.last, strict=True
                    )
                )
                yield one, other

    def _grows(self, alone: int, first: int, second: int) -> bool:
        if alone == first == second or alone % self.watched:
            return False
        folded = alone // self.watched
        return (first, second) == (folded * self.sizes[0], folded * self.sizes[1])


def _end(array: np.ndarray, axis: int, count: int, last: bool) -> np.ndarray:
    start = array.shape[axis] - count if last else 0
    return array[(slice(None),) * axis + (slice(start, start + count),)]


def _unfold(array: np.ndarray, axis: int, outer: int, size: int) -> np.ndarray:
    shape = array.shape
    inner = shape[axis] // (outer * size)
    return array.reshape(*shape[:axis], outer, size, inner, *shape[axis + 1 :])
