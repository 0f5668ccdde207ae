"""How far one output moved in one composition, and whether that is rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfnorm.differences import absolute_difference, is_floating, same_bits, ulp_distance
from tfnorm.verify.judgement.reference import AT_EQUAL_SHAPES, Reference
from tfnorm.verify.results import DEPENDENCE, ROUNDING, SAME, Move

FEWEST, MOST_AGREE = 16, 0.95
"""Different examples that moved, and how many of them the same way, for a move that no rounding makes."""


class Comparison:
    """One output in one composition, compared batch by batch.

    Args:
        reference: the output of the examples one at a time.
        controlled: whether it is compared with a control of equal batch sizes instead.
        same_shapes: whether nothing in the model has another shape than in that control; None where
            that isn't known.
    """

    def __init__(
        self, reference: Reference, controlled: bool = False, same_shapes: bool | None = None
    ):
        self.changed = np.zeros(reference.count, bool)
        self.scores = reference.values.reshape(-1).astype(np.float64) if reference.ranks else None
        self._reference = reference
        self.same_shapes = same_shapes
        self.dtype = reference.dtype
        self._controlled = controlled
        self._problem: str | None = None
        self._difference = self._ulps = 0.0
        self._values = self._moved = 0
        self._epsilons = 0.0
        self._up, self._outwards = np.zeros((2, reference.count))
        self._batches: list[_Over] = []

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
        self._batches.append(_Over.of(reference, difference, examples))
        self._count_directions(values, expected, difference, examples)
        if self.scores is not None:
            self.scores[examples] = values.reshape(-1)

    @property
    def doubtful(self) -> list[int]:
        """The batches whose verdict is another where shapes in the model differ, the worst first."""
        if not self._controlled or self.same_shapes is not None or self._problem is not None:
            return []
        return sorted(
            (n for n, over in enumerate(self._batches) if over.equal_shapes > 1 >= over.most),
            key=lambda number: -self._batches[number].equal_shapes,
        )

    @property
    def dependent(self) -> bool:
        """Whether it moved by more than rounding, at equal batch sizes."""
        return self._controlled and self.verdict(False) == DEPENDENCE

    @property
    def mean_epsilons(self) -> float:
        """How far a value moved on average."""
        return self._epsilons / max(self._values, 1)

    @property
    def unclear(self) -> bool:
        """Whether most moved the same way, further than known types round, but not than others would."""
        if self._controlled or self._problem is not None:
            return False
        return self._enough < self._drift() <= self._enough * self._reference.unsure

    @property
    def _enough(self) -> float:
        """Epsilons that no rounding makes on average and the same way."""
        return AT_EQUAL_SHAPES * self._reference.tolerance.widened

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
            return DEPENDENCE if self._over(self._controlled_bound) else ROUNDING
        drift = self._drift() / self._reference.unsure
        if drift > self._enough or (grows and self.mean_epsilons > self._enough):
            return DEPENDENCE
        if not self._over("other_shapes"):
            return ROUNDING
        # Beyond the tolerance, the comparisons at equal sizes tell better.
        return DEPENDENCE if self._over("most") or moved_by_neighbours else ROUNDING

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
    def _controlled_bound(self) -> str:
        if self.same_shapes is None:
            return "unknown_shapes"
        return "equal_shapes" if self.same_shapes else "most"

    def _over(self, bound: str) -> bool:
        return any(getattr(over, bound) > 1 for over in self._batches)

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
        with np.errstate(invalid="ignore"):
            steps = np.where(moved, np.sign(values - expected), 0).astype(np.float64)
        ahead = np.where(expected > 0, 1.0, -1.0)
        for ways, counted in ((steps, self._up), (steps * ahead, self._outwards)):
            by_row = np.nan_to_num(ways).reshape(len(ways), -1).sum(axis=1)
            counted += np.bincount(examples, by_row, minlength=len(counted))
        self._epsilons += float(self._reference.epsilons(difference, examples).sum())

    def _drift(self) -> float:
        """By how many epsilons values moved on average, if most moved up, down, outwards or inwards.

        Examples that are alike have one vote. It is 0 where there are too few votes, or they disagree.
        """
        votes = self._reference.votes
        moved = np.bincount(votes, self.changed) > 0
        if moved.sum() < max(FEWEST, len(moved) / 2):
            return 0.0
        ways = [np.sign(np.bincount(votes, way))[moved] for way in (self._up, self._outwards)]
        agree = max((way == side).mean() for way in ways for side in (1, -1))
        return self._epsilons / self._moved if agree >= MOST_AGREE and self._moved else 0.0


@dataclass(frozen=True)
class _Over:
    """By what factor a batch is over each bound, at worst."""

    equal_shapes: float
    unknown_shapes: float
    other_shapes: float
    most: float

    @classmethod
    def of(cls, reference: Reference, difference: np.ndarray, examples: np.ndarray) -> _Over:
        bounds = (
            reference.at_equal_shapes,
            reference.at_unknown_shapes,
            reference.at_other_shapes,
            reference.at_most,
        )
        moved = difference > 0
        if not moved.any():
            return cls(0.0, 0.0, 0.0, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = [(difference[moved] / bound[examples][moved]).max() for bound in bounds]
        return cls(*map(float, factors))


def _any(values: np.ndarray) -> np.ndarray:
    """Whether any value of each row is true."""
    return np.asarray(values.any(axis=tuple(range(1, values.ndim))))
