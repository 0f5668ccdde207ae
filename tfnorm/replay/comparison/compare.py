"""Calls' answers beside the model's."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfnorm.differences import absolute_difference
from tfnorm.parity.outputs import alike, ranking_column
from tfnorm.replay.comparison.bounds import Bounds
from tfnorm.replay.comparison.outputs import Pair

_NOWHERE = (0, None, None)


@dataclass(frozen=True, eq=False)
class Compared:
    """How far a call's answer is from the model's.

    Attributes:
        rows: how many there are.
        difference: `[rows]`, the largest of a row's values; inf where one is no number, or a string differs.
        different: `[rows]`, whether one differs by more than rounding.
        differs: whether any row does, or the call can't be compared.
        logged, new: `[rows]`, by which the rows are ranked; None where there is no such number.
        worst: of a call that differs, the row with the largest difference, and what is logged and new
            there; None of what is no number.
        problem: why the answer can't be compared; None where it can.
    """

    rows: int
    difference: np.ndarray
    different: np.ndarray
    differs: bool
    logged: np.ndarray | None = None
    new: np.ndarray | None = None
    worst: tuple[int, float | None, float | None] = _NOWHERE
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class Answered:
    """What a call of `count` rows was answered, and what the model gives for it: output name -> array."""

    logged: Mapping[str, np.ndarray]
    new: Mapping[str, np.ndarray]
    count: int


def compare(pairs: Sequence[Pair], answered: Answered, bounds: Bounds) -> Compared:
    """Compare the outputs of a call that belong together."""
    return compare_all(pairs, [answered], bounds)[0]


def compare_all(pairs: Sequence[Pair], calls: Sequence[Answered], bounds: Bounds) -> list[Compared]:
    """The same of several calls, at once: to NumPy a call's few rows take as long as those of many."""
    found: list[Compared | None] = [None for _ in calls]
    alike_calls: dict[Hashable, list[tuple[int, list[_Column]]]] = {}
    for place, call in enumerate(calls):
        columns = _columns(pairs, call)
        if isinstance(columns, str):
            found[place] = refused(call.count, columns)
        else:
            kind = tuple(column.kind for column in columns)
            alike_calls.setdefault(kind, []).append((place, columns))
    for group in alike_calls.values():
        places = [place for place, _ in group]
        joined = [
            _joined(column) for column in zip(*(columns for _, columns in group), strict=True)
        ]
        counts = [calls[place].count for place in places]
        for place, compared in zip(places, _compared(joined, counts, bounds), strict=True):
            found[place] = compared
    return [one for one in found if one is not None]


def refused(count: int, problem: str) -> Compared:
    """A call that the model does not answer as production did, whatever the numbers."""
    return Compared(count, np.full(count, np.inf), np.ones(count, bool), True, problem=problem)


@dataclass(frozen=True, eq=False)
class _Column:
    """A logged output and the model's, `[rows, values]` of one type each."""

    pair: Pair
    logged: np.ndarray
    new: np.ndarray

    @property
    def kind(self) -> Hashable:
        """What is the same in those that can be joined."""
        return self.pair, self.logged.dtype, self.new.dtype, self.logged.shape[1]


def _columns(pairs: Sequence[Pair], call: Answered) -> list[_Column] | str:
    """What is compared of a call, or why it can't be."""
    columns = []
    for pair in pairs:
        if pair.logged not in call.logged:
            continue  # The request asked for some outputs only.
        found = alike(call.logged[pair.logged], call.new[pair.new], call.count)
        if isinstance(found, str):
            return f"{pair}: {found}"
        columns.append(_Column(pair, *found))
    return columns


def _joined(columns: Sequence[_Column]) -> _Column:
    first = columns[0]
    if len(columns) == 1:
        return first
    return _Column(
        first.pair,
        np.concatenate([column.logged for column in columns]),
        np.concatenate([column.new for column in columns]),
    )


def _compared(
    columns: Sequence[_Column], counts: Sequence[int], bounds: Bounds
) -> Iterator[Compared]:
    """Calls of so many rows each, from the columns of all of them."""
    difference, different = np.zeros(sum(counts)), np.zeros(sum(counts), bool)
    ranked: tuple[np.ndarray, np.ndarray] | tuple[None, None] = None, None
    apart = [absolute_difference(column.new, column.logged) for column in columns]
    for column, by_value in zip(columns, apart, strict=True):
        if by_value.any():
            bound = bounds.bound(column.pair.logged, column.logged)
            different |= (by_value > bound).any(axis=1)
            difference = np.maximum(difference, by_value.max(axis=1))
        if ranked[0] is None:
            logged = ranking_column(column.pair.new, column.logged)
            new = ranking_column(column.pair.new, column.new)
            ranked = (None, None) if logged is None or new is None else (logged, new)
    end = 0
    for count in counts:
        rows = slice(end, end := end + count)
        differs = bool(different[rows].any())
        logged, new = (None if scores is None else scores[rows] for scores in ranked)
        worst = _worst(columns, apart, rows) if differs else _NOWHERE
        yield Compared(count, difference[rows], different[rows], differs, logged, new, worst)


def _worst(
    columns: Sequence[_Column], apart: Sequence[np.ndarray], rows: slice
) -> tuple[int, float | None, float | None]:
    """The row with the largest difference, in whichever output, and what is logged and new there."""
    place = int(np.argmax([by_value[rows].max(initial=0.0) for by_value in apart]))
    by_value, column = apart[place][rows], columns[place]
    row, value = np.unravel_index(int(by_value.argmax()), by_value.shape)
    found = (array[rows][row, value] for array in (column.logged, column.new))
    logged, new = map(_number, found)
    return int(row), logged, new


def _number(value: object) -> float | None:
    return None if isinstance(value, bytes | str) else float(value)  # type: ignore[arg-type]
