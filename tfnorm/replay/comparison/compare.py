"""One call's answer beside the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfnorm.differences import absolute_difference
from tfnorm.parity.outputs import alike, ranking_column
from tfnorm.replay.comparison.bounds import Bounds
from tfnorm.replay.comparison.outputs import Pair


@dataclass(frozen=True, eq=False)
class Compared:
    """How far a call's answer is from the model's.

    Attributes:
        rows: how many there are.
        difference: `[rows]`, the largest of a row's values; inf where one is no number, or a string differs.
        different: `[rows]`, whether one differs by more than rounding.
        logged, new: `[rows]`, by which the rows are ranked; None where there is no such number.
        worst: the row with the largest difference, and what is logged and new there; None of what is no
            number.
        problem: why the answer can't be compared; None where it can.
    """

    rows: int
    difference: np.ndarray
    different: np.ndarray
    logged: np.ndarray | None = None
    new: np.ndarray | None = None
    worst: tuple[int, float | None, float | None] = (0, None, None)
    problem: str | None = None

    @property
    def differs(self) -> bool:
        """Whether any row differs by more than rounding, or the call can't be compared."""
        return self.problem is not None or bool(self.different.any())


def compare(
    pairs: Sequence[Pair],
    logged: Mapping[str, np.ndarray],
    new: Mapping[str, np.ndarray],
    count: int,
    bounds: Bounds,
) -> Compared:
    """Compare the outputs that belong together, of a call of `count` rows."""
    difference, different = np.zeros(count), np.zeros(count, bool)
    ranked: tuple[np.ndarray, np.ndarray] | None = None
    worst: tuple[int, float | None, float | None] = (0, None, None)
    for pair in pairs:
        if pair.logged not in logged:
            continue  # The request asked for some outputs only.
        found = alike(logged[pair.logged], new[pair.new], count)
        if isinstance(found, str):
            return refused(count, f"{pair}: {found}")
        old, fresh = found
        apart = absolute_difference(fresh, old)
        if apart.any():
            different |= (apart > bounds.bound(pair.logged, old)).any(axis=1)
            by_row = apart.max(axis=1)
            if by_row.max() > difference.max():
                row = int(by_row.argmax())
                column = int(apart[row].argmax())
                worst = (row, _number(old[row, column]), _number(fresh[row, column]))
            difference = np.maximum(difference, by_row)
        if ranked is None:
            columns = ranking_column(pair.new, old), ranking_column(pair.new, fresh)
            ranked = None if columns[0] is None or columns[1] is None else (columns[0], columns[1])
    old_scores, new_scores = ranked or (None, None)
    return Compared(count, difference, different, old_scores, new_scores, worst)


def refused(count: int, problem: str) -> Compared:
    """A call that the model does not answer as production did, whatever the numbers."""
    return Compared(count, np.full(count, np.inf), np.ones(count, bool), problem=problem)


def _number(value: object) -> float | None:
    return None if isinstance(value, bytes | str) else float(value)  # type: ignore[arg-type]
