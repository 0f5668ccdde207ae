"""Find the same examples' rows in tensors of two batches, and tell whether they moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf


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
                yield tuple(
                    _end(_unfold(array, axis, outer, size), axis + 1, self.watched, last)
                    for array, size, last in zip(
                        (first, second), self.sizes, self.last, strict=True
                    )
                )

    def _grows(self, alone: int, first: int, second: int) -> bool:
        if alone == first == second or alone % self.watched:
            return False
        folded = alone // self.watched
        return (first, second) == (folded * self.sizes[0], folded * self.sizes[1])


@dataclass(frozen=True)
class Tolerance:
    """What counts as rounding: `units` in the last place of each element, or of the largest one.

    `epsilon` is the coarsest rounding of the graph; None for that of the tensor's own type.
    """

    units: float
    elementwise: bool = False
    epsilon: float | None = None

    def differ(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Whether two arrays differ by more than rounding; a NaN equals a NaN."""
        if first.shape != second.shape:
            return True
        rounding = epsilon(tf.as_dtype(first.dtype))
        if not rounding:
            return not np.array_equal(first, second)
        first, second = (_wide(array) for array in (first, second))
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        if same.all():
            return False
        sizes = np.maximum(np.abs(first), np.abs(second))
        if not self.elementwise:
            sizes = np.max(sizes, initial=0.0, where=np.isfinite(sizes))
        with np.errstate(invalid="ignore"):
            close = np.abs(first - second) <= self.units * (self.epsilon or rounding) * sizes
        # Infinities are within any tolerance of nothing but themselves.
        close &= np.isfinite(first) & np.isfinite(second)
        return not (same | close).all()


def epsilon(dtype: tf.DType) -> float:
    """The relative rounding of a floating or complex type; 0 for the others, which are exact."""
    dtype = dtype.base_dtype
    if dtype.is_complex:
        dtype = dtype.real_dtype
    return (
        float(tf.experimental.numpy.finfo(dtype.as_numpy_dtype).eps) if dtype.is_floating else 0.0
    )


def _wide(array: np.ndarray) -> np.ndarray:
    return array if np.iscomplexobj(array) else array.astype(np.float64)


def _end(array: np.ndarray, axis: int, count: int, last: bool) -> np.ndarray:
    start = array.shape[axis] - count if last else 0
    return array[(slice(None),) * axis + (slice(start, start + count),)]


def _unfold(array: np.ndarray, axis: int, outer: int, size: int) -> np.ndarray:
    shape = array.shape
    inner = shape[axis] // (outer * size)
    return array.reshape(*shape[:axis], outer, size, inner, *shape[axis + 1 :])
