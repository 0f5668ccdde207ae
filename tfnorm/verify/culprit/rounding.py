"""Tell what moved from what was only rounded otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfnorm.differences import epsilon


@dataclass(frozen=True)
class Rounding:
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
        own = epsilon(tf.as_dtype(first.dtype))
        if not own:
            return not np.array_equal(first, second)
        first, second = (_wide(array) for array in (first, second))
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        if same.all():
            return False
        sizes = np.maximum(np.abs(first), np.abs(second))
        if not self.elementwise:
            sizes = np.max(sizes, initial=0.0, where=np.isfinite(sizes))
        with np.errstate(invalid="ignore"):
            close = np.abs(first - second) <= self.units * (self.epsilon or own) * sizes
        # Infinities are within any tolerance of nothing but themselves.
        close &= np.isfinite(first) & np.isfinite(second)
        return not bool((same | close).all())


# Equal shapes run the same kernels in the same order: what differs has moved.
EQUAL_SHAPES = Rounding(units=4, elementwise=True)
# Other shapes add up in another order.
OTHER_SHAPES = Rounding(units=64)


def other_blocks(coarsest: float) -> Rounding:
    """Where rows stand and how long they are padded changes the kernels' blocks all through a graph.

    Args:
        coarsest: the coarsest epsilon that the graph computes in.
    """
    return Rounding(units=256, epsilon=coarsest)


def _wide(array: np.ndarray) -> np.ndarray:
    return array if np.iscomplexobj(array) else array.astype(np.float64)
