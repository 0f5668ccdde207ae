"""Whether what moved is rounding or a dependence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfnorm.differences import (
    absolute_difference,
    epsilon,
    is_floating,
    same_bits,
    ulp_distance,
)
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.results import DEPENDENCE, ROUNDING, SAME, Move

SAME_KERNELS = 4
"""Epsilons that a value may move in a batch of equal size with other neighbours: at equal shapes
the same kernels round alike, so that nothing should move at all."""
OTHER_KERNELS = {16: 32, 32: 256, 64: 256}
"""Epsilons that rounding may come to at another shape, by the bits that the model computes in:
beyond the tolerance, as long as other neighbours move nothing. Deep models in float32 need them."""
LARGE = 64
"""From this batch size on, rounding does not grow with it: the kernels are the same."""
FEWEST, MOST_AGREE = 16, 0.95
"""Values that moved, and how many of them the same way, for a move that no rounding makes."""


class Reference:
    """One output of the examples scored one at a time, which the compositions are compared with.

    Args:
        rows: what the model gave for each example, in order.
        tolerance: how far a value may move.
    """

    def __init__(self, rows: Sequence[np.ndarray], tolerance: Tolerance):
        self.dtype: str = tf.as_dtype(rows[0].dtype).name
        self.count = len(rows)
        self.problem = _problem(rows)
        self.tolerance = tolerance
        if self.problem is not None:
            return
        self.values = np.concatenate(rows)
        self._size, self._scale = self._magnitudes()
        own = epsilon(self.dtype)
        self._epsilon = own and max(own, epsilon(tolerance.precision or self.dtype))
        self.at_other_shapes = self._at_other_shapes(own)
        self.at_most = self._at_most(own)
        unit = SAME_KERNELS * tolerance.widened * self._size
        self.at_equal_shapes = own * unit
        self.beside_others = self._epsilon * unit

    @property
    def ranks(self) -> bool:
        """Whether each example has one number, by which it can be ranked."""
        return (
            self.problem is None
            and is_floating(self.values)
            and self.values.size == self.count
            and self.count > 1
        )

    def epsilons(self, difference: np.ndarray, examples: np.ndarray) -> np.ndarray:
        """Differences in epsilons of the values' size, infinite ones left out."""
        size = self._size[examples] * (self._epsilon or 1.0)
        counted = np.isfinite(difference) & (size > 0)
        return difference[counted] / size[counted]

    def _magnitudes(self) -> tuple[np.ndarray, np.ndarray]:
        """For each value: the larger of its magnitude and the scale of its place; the scale."""
        if not is_floating(self.values):
            return np.zeros(self.values.shape), np.zeros(self.values.shape[1:])
        size = np.abs(self.values.astype(np.float64))
        finite = np.isfinite(size)
        scale = np.ma.median(np.ma.masked_array(size, ~finite), axis=0)
        scale = np.ma.filled(np.ma.asarray(scale, dtype=np.float64), 0.0)
        return np.maximum(np.where(finite, size, 0.0), scale), scale

    def _at_most(self, own: float) -> np.ndarray:
        # What a server computes in, nobody knows: 16 bits, for all that its outputs tell.
        precision = self.tolerance.precision or "float16"
        if not own:
            return self.at_other_shapes
        coarsest = max(precision, self.dtype, key=epsilon)
        epsilons = OTHER_KERNELS[8 * tf.as_dtype(coarsest).size] * self.tolerance.tightened
        return np.maximum(self.at_other_shapes, epsilons * epsilon(coarsest) * self._size)

    def _at_other_shapes(self, own: float) -> np.ndarray:
        if not is_floating(self.values):
            return np.zeros(self.values.shape)
        size = np.abs(np.nan_to_num(self.values.astype(np.float64), posinf=0.0, neginf=0.0))
        bound = self.tolerance.atol * np.maximum(1.0, self._scale) + self.tolerance.rtol * size
        if own > epsilon("float32"):
            bound = np.maximum(bound, SAME_KERNELS * own * self._size)
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

    def extremes(self) -> tuple[int, int]:
        """The examples with the highest and the lowest values; of what are no numbers, any two."""
        if self.problem is not None or not (
            is_floating(self.values) or self.values.dtype.kind in "iu"
        ):
            return 0, self.count - 1
        rows = np.nan_to_num(self.values.astype(np.float64)).reshape(self.count, -1)
        highest, lowest = rows.max(axis=1, initial=-np.inf), rows.min(axis=1, initial=np.inf)
        return int(highest.argmax()), int(lowest.argmin())


class Comparison:
    """One output in one composition, compared batch by batch.

    Args:
        reference: the output of the examples one at a time.
        controlled: whether it is compared with a control of equal batch sizes instead.
        same_shapes: whether nothing in the model has another shape than in that control.
    """

    def __init__(self, reference: Reference, controlled: bool = False, same_shapes: bool = False):
        self.changed = np.zeros(reference.count, bool)
        self.scores = reference.values.reshape(-1).astype(np.float64) if reference.ranks else None
        self._reference = reference
        self._controlled = controlled
        self._same_shapes = same_shapes
        self._problem: str | None = None
        self._difference = self._ulps = 0.0
        self._values = 0
        self._up = self._outwards = self._moved = 0
        self._epsilons = 0.0
        self._over_bound = self._over_most = False

    def add(
        self, values: np.ndarray | None, batch: np.ndarray, control: np.ndarray | None = None
    ) -> None:
        """Compare what the model gave for a batch.

        Args:
            values: `[rows, ...]`, or None.
            batch: the rows' numbers; from the count of examples on, they are neighbours.
            control: what the model gave for the control's batch, the examples at the same places.
        """
        reference = self._reference
        self._problem = self._problem or reference.problem_with(values, len(batch))
        if self._problem is None and control is not None:
            self._problem = reference.problem_with(control, len(batch))
        if self._problem is not None:
            self.changed[:] = True
            return
        ours = batch < reference.count
        examples, values = batch[ours], values[ours]
        expected = reference.values[examples] if control is None else control[ours]
        difference = absolute_difference(values, expected)
        ulps = ulp_distance(values, expected)
        bits = reference.tolerance.bitwise
        changed = ~same_bits(values, expected) if bits else difference > 0
        self._difference = max(self._difference, float(difference.max(initial=0.0)))
        self._ulps = max(self._ulps, float(ulps.max(initial=0.0)))
        self.changed[examples[_any(changed)]] = True
        self._over_bound |= bool((difference > self._bound(examples)).any())
        self._over_most |= bool((difference > reference.at_most[examples]).any())
        self._count_directions(values, expected, difference, examples)
        if self.scores is not None:
            self.scores[examples] = values.reshape(-1)

    @property
    def dependent(self) -> bool:
        """Whether it moved by more than rounding, at equal batch sizes."""
        return self._controlled and self.verdict(False) == DEPENDENCE

    @property
    def mean_epsilons(self) -> float:
        """How far a value moved on average."""
        return self._epsilons / max(self._values, 1)

    def verdict(self, moved_by_neighbours: bool, grows: bool = False) -> str:
        """Whether what moved is rounding or a dependence.

        Args:
            moved_by_neighbours: whether the output moved in some comparison at equal batch sizes.
            grows: whether it moves the further, the larger the batch.
        """
        if self._problem is not None:
            return DEPENDENCE
        if not self.changed.any():
            return SAME
        if self._controlled:
            return DEPENDENCE if self._over_bound else ROUNDING
        enough = SAME_KERNELS * self._reference.tolerance.widened
        if self._one_way() or (grows and self.mean_epsilons > enough):
            return DEPENDENCE
        if not self._over_bound:
            return ROUNDING
        # Beyond the tolerance, the comparisons at equal sizes tell better.
        return DEPENDENCE if self._over_most or moved_by_neighbours else ROUNDING

    def move(self, moved_by_neighbours: bool = False, grows: bool = False) -> Move:
        """How far the output moved in what was added; the arguments are those of `verdict`."""
        verdict = self.verdict(moved_by_neighbours, grows)
        count = len(self.changed)
        if self._problem is not None:
            return Move(math.inf, None, count, verdict, False, self._problem)
        ulps = int(self._ulps) if math.isfinite(self._ulps) else None
        bitwise = self._reference.tolerance.bitwise
        passed = verdict == SAME or (verdict == ROUNDING and not bitwise)
        return Move(self._difference, ulps, int(self.changed.sum()), verdict, passed)

    def _bound(self, examples: np.ndarray) -> np.ndarray:
        if not self._controlled:
            return self._reference.at_other_shapes[examples]
        if self._same_shapes:
            return self._reference.at_equal_shapes[examples]
        return self._reference.beside_others[examples]

    def _count_directions(
        self,
        values: np.ndarray,
        expected: np.ndarray,
        difference: np.ndarray,
        examples: np.ndarray,
    ) -> None:
        self._values += values.size
        moved = difference > 0
        if not is_floating(values) or not moved.any():
            return
        self._moved += int(moved.sum())
        self._up += int((values > expected)[moved].sum())
        self._outwards += int(((values > expected) == (expected > 0))[moved].sum())
        self._epsilons += float(self._reference.epsilons(difference, examples).sum())

    def _one_way(self) -> bool:
        """Whether most values moved, up, down, outwards or inwards, all by more than rounding."""
        if self._moved < max(FEWEST, self._values / 2):
            return False
        shares = [count / self._moved for count in (self._up, self._outwards)]
        agree = max(*shares, *(1 - share for share in shares))
        enough = SAME_KERNELS * self._reference.tolerance.widened
        return agree >= MOST_AGREE and self._epsilons / self._moved > enough


def grows_with_size(moves: Sequence[tuple[int, float]]) -> bool:
    """Whether values move in proportion to a power of the batch size, as no rounding does.

    Args:
        moves: batch sizes, and how far a value moves on average.
    """
    points = np.array([(size, mean) for size, mean in moves if mean > 0 and size >= LARGE])
    if len(points) < max(5, len(moves) / 4) or len(set(points[:, 0])) < 5:
        return False
    size, mean = np.log(points).T
    if not np.ptp(mean):
        return False
    slope = np.polyfit(size, mean, 1)[0]
    return bool(slope > 0.5 and np.corrcoef(size, mean)[0, 1] > MOST_AGREE)


def _any(values: np.ndarray) -> np.ndarray:
    """Whether any value of each row is true."""
    return values.any(axis=tuple(range(1, values.ndim)))


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
