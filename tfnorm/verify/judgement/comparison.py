"""How far one output moved in one composition, and whether that is rounding."""

from __future__ import annotations

import math

import numpy as np

from tfnorm.differences import absolute_difference, is_floating, same_bits, ulp_distance
from tfnorm.verify.judgement.reference import AT_EQUAL_SHAPES, Reference
from tfnorm.verify.results import DEPENDENCE, ROUNDING, SAME, Move

FEWEST, MOST_AGREE = 16, 0.95
"""Values that moved, and how many of them the same way, for a move that no rounding makes."""


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
        if self._problem is not None or values is None:
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
        self._over_bound |= bool((difference > self._bound[examples]).any())
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
        enough = AT_EQUAL_SHAPES * self._reference.tolerance.widened
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

    @property
    def _bound(self) -> np.ndarray:
        if not self._controlled:
            return self._reference.at_other_shapes
        return (
            self._reference.at_equal_shapes if self._same_shapes else self._reference.beside_others
        )

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
        enough = AT_EQUAL_SHAPES * self._reference.tolerance.widened
        return agree >= MOST_AGREE and self._epsilons / self._moved > enough


def _any(values: np.ndarray) -> np.ndarray:
    """Whether any value of each row is true."""
    return np.asarray(values.any(axis=tuple(range(1, values.ndim))))
