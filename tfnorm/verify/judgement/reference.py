"""What the compositions are compared with: the examples scored one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfnorm.differences import TENSOR_FLOAT_32, absolute_difference, epsilon, is_floating
from tfnorm.verify.judgement.tolerance import UNKNOWN, Tolerance
from tfnorm.verify.judgement.votes import fewest, labels_of

AT_EQUAL_SHAPES = 4
"""Epsilons that a value may move in a batch of equal size with other neighbours: at equal shapes
the same kernels round alike, so that nothing should move at all."""
AT_OTHER_SHAPES = {8: 2, 16: 32, 32: 256, 64: 256}
"""Epsilons that rounding may come to at another shape, by the bits that the model computes in:
beyond the tolerance, as long as other neighbours move nothing. Deep models in float32 need them. An
epsilon of 8 bits is an eighth of the value, or a quarter."""

_SUMMED_IN_16_BITS = 2
"""How much more it may come to where a score itself is in 16 bits: such models sum in them, too."""

_FEW = 8
"""Fewer examples than this do not tell what size the numbers at a place have."""

# NumPy's own types know neither what it takes nor what it gives.
_median: Callable[..., np.ndarray] = np.ma.median


class Reference:
    """One output of the examples scored one at a time, which the compositions are compared with.

    Args:
        rows: what the model gave for each example, in order.
        tolerance: how far a value may move.
        alike: for each input whose share of the rounding examples may have in common, a number for
            each example, the same where it holds the same.
    """

    def __init__(
        self,
        rows: Sequence[np.ndarray],
        tolerance: Tolerance,
        alike: Sequence[np.ndarray] = (),
    ):
        self.dtype: str = tf.as_dtype(rows[0].dtype).name
        self.count = len(rows)
        self.floating = is_floating(rows[0])
        self.problem = _problem(rows)
        self.tolerance = tolerance
        if self.problem is not None:
            return
        self.values = np.concatenate(rows)
        self._size, self._scale = self._magnitudes()
        self.votes = fewest([labels_of(self.values), *alike])
        own = epsilon(self.dtype) if self.floating else 0.0
        known = max(tolerance.precision or self.dtype, self.dtype, key=epsilon)
        coarsest = max(tolerance.precision or UNKNOWN, self.dtype, key=epsilon)
        self._epsilon = own and epsilon(known)
        # By what factor it may compute in a coarser type than is known of.
        self.unsure = epsilon(coarsest) / self._epsilon if own else 1.0
        self.at_other_shapes = self._at_other_shapes(own)
        self.at_most = self._at_most(coarsest) if own else self.at_other_shapes
        unit = AT_EQUAL_SHAPES * tolerance.widened * self._size
        self.at_equal_shapes = own * unit
        self.at_unknown_shapes = np.maximum(self.at_other_shapes, (own and epsilon(known)) * unit)

    @property
    def ranks(self) -> bool:
        """Whether each example has one number, by which it can be ranked."""
        return (
            self.problem is None
            and self.floating
            and self.values.size == self.count
            and self.count > 1
        )

    @property
    def alike(self) -> bool:
        """Whether all examples score alike, so that it would not show what becomes of rows in a batch.

        What differs by less than a dependence must move to be one shows nothing either.
        """
        if self.problem is not None:
            return False
        bound = self.at_equal_shapes / self.tolerance.widened
        return bool((absolute_difference(self.values, self.values[:1]) <= bound).all())

    @property
    def numberless(self) -> np.ndarray:
        """Where values are NaN or infinite, of which nothing can be told: `[examples, ...]`."""
        if self.problem is not None or not self.floating:
            return np.zeros((self.count, 1), bool)
        return np.asarray(~np.isfinite(self.values))

    def epsilons(self, difference: np.ndarray, examples: np.ndarray) -> np.ndarray:
        """Differences in epsilons of the values' size, infinite ones left out."""
        size = self._size[examples] * (self._epsilon or 1.0)
        counted = np.isfinite(difference) & (size > 0)
        epsilons: np.ndarray = difference[counted] / size[counted]
        return epsilons

    def _magnitudes(self) -> tuple[np.ndarray, np.ndarray]:
        """For each value: the larger of its magnitude and the scale of its place; the scale."""
        if not self.floating:
            return np.zeros(self.values.shape), np.zeros(self.values.shape[1:])
        size = np.abs(self.values.astype(np.float64))
        finite = np.isfinite(size)
        medians = _median(np.ma.masked_array(size, ~finite), axis=0)
        scale = np.ma.filled(np.ma.asarray(medians, dtype=np.float64), 0.0)
        if self.count < _FEW and finite.any():
            # By chance, all of a few are near 0 at some place of many.
            scale = np.maximum(scale, min(1.0, float(np.median(size[finite]))))
        return np.maximum(np.where(finite, size, 0.0), scale), scale

    def _at_most(self, coarsest: str) -> np.ndarray:
        bits = 16 if coarsest == TENSOR_FLOAT_32 else 8 * tf.as_dtype(coarsest).size
        epsilons = AT_OTHER_SHAPES[bits] * self.tolerance.tightened
        if tf.as_dtype(self.dtype).size == 2:
            epsilons *= _SUMMED_IN_16_BITS
        at_most: np.ndarray = np.maximum(
            self.at_other_shapes, epsilons * epsilon(coarsest) * self._size
        )
        return at_most

    def _at_other_shapes(self, own: float) -> np.ndarray:
        if not self.floating:
            return np.zeros(self.values.shape)
        size = np.abs(np.nan_to_num(self.values.astype(np.float64), posinf=0.0, neginf=0.0))
        bound = self.tolerance.atol * np.maximum(1.0, self._scale) + self.tolerance.rtol * size
        if own > epsilon("float32"):
            bound = np.maximum(bound, AT_EQUAL_SHAPES * own * self._size)
        return np.broadcast_to(bound, self.values.shape)

    def problem_with(self, values: np.ndarray | None, batch_size: int) -> str | None:
        """Why a batch's output can't be compared row by row; None where it can."""
        if self.problem is not None:
            return self.problem
        if values is None:
            return "it is missing"
        if values.ndim == 0 or len(values) != batch_size:
            return f"it has the shape {list(values.shape)} for {batch_size} examples"
        if values.shape[1:] != self.values.shape[1:]:
            return (
                f"an example has the shape {list(values.shape[1:])} in a batch of {batch_size} "
                f"and {list(self.values.shape[1:])} alone"
            )
        return None

    def explains(self, values: np.ndarray) -> bool:
        """Whether values, in the order of the examples, are the same but for rounding."""
        if self.problem_with(values, self.count) is not None:
            return False
        return bool((absolute_difference(values, self.values) <= self.at_most).all())

    def extremes(self) -> tuple[int, int]:
        """The examples with the highest and the lowest values; of what are no numbers, any two."""
        if self.problem is not None or not (self.floating or self.values.dtype.kind in "iu"):
            return 0, self.count - 1
        rows = np.nan_to_num(self.values.astype(np.float64)).reshape(self.count, -1)
        highest, lowest = rows.max(axis=1, initial=-np.inf), rows.min(axis=1, initial=np.inf)
        return int(highest.argmax()), int(lowest.argmin())


def _problem(rows: Sequence[np.ndarray]) -> str | None:
    for row in rows:
        if row.ndim == 0 or len(row) != 1:
            return (
                f"it has the shape {list(row.shape)} for one example: the batch dimension is lost"
            )
        if row.shape != rows[0].shape:
            return (
                f"it has the shape {list(rows[0].shape)} for one example and {list(row.shape)} for "
                "another, so that in one batch they can't both be right"
            )
    return None
