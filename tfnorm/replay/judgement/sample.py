"""Some calls, kept whole with those that came before and after, to try on them what explains them."""

from __future__ import annotations

import random
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from tfnorm.replay.comparison.compare import Compared
from tfnorm.replay.comparison.fit import Fitted
from tfnorm.replay.log.call import Call

DIFFERENT, OTHERS = 24, 12
"""How many calls are kept that differ, and that don't."""
_MOST = {True: DIFFERENT, False: OTHERS}
AROUND = 4
"""How many calls before one, and after it, are kept with it."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Seen:
    """A call that one model has scored.

    Attributes:
        call: the call.
        fitted: what the model was fed.
        outputs: what it gave.
        compared: the answer beside that.
        around: the calls before it and after it in the log, in order, among which it stands at `place`.
    """

    call: Call
    fitted: Fitted
    outputs: dict[str, np.ndarray]
    compared: Compared
    around: list[Seen] = field(default_factory=list)
    place: int = 0


class Sample:
    """Calls drawn from those that differ, and from the others, each as likely as any other.

    A call's rank in the draw is a hash of its place in the log, so that two of them merge to what one would
    have drawn, in any order.

    Args:
        seed: of the draw.
        below: the ranks below which calls are kept, of those that differ and of others: what another has,
            with which this one is merged.
    """

    def __init__(self, seed: int, below: tuple[float, float] = (1.0, 1.0)):
        self._seed, self._below = seed, below
        self._kept: dict[bool, list[tuple[float, Seen]]] = {True: [], False: []}

    @property
    def different(self) -> list[Seen]:
        """Of the calls that differ."""
        return [seen for _, seen in self._kept[True]]

    @property
    def others(self) -> list[Seen]:
        """Of those that don't."""
        return [seen for _, seen in self._kept[False]]

    @property
    def below(self) -> tuple[float, float]:
        """The ranks that a call must be below to be drawn, where it differs and where it doesn't."""
        return self._limit(True), self._limit(False)

    def add(self, before: Sequence[Seen | None], seen: Seen, after: Sequence[Seen | None]) -> None:
        """Draw or not; what stands around a call is None where the model did not score it."""
        place = f"{self._seed} {seen.call.file} {seen.call.number}"
        rank, differs = random.Random(place).random(), seen.compared.differs
        if rank >= self._limit(differs):
            return
        earlier = [one for one in before if one is not None]
        around = [*earlier, seen, *(one for one in after if one is not None)]
        whole = Seen(seen.call, seen.fitted, seen.outputs, seen.compared, around, len(earlier))
        self._keep(differs, rank, whole)

    def merge(self, other: Sample) -> None:
        """Draw from what another has drawn."""
        for differs, kept in other._kept.items():
            for rank, seen in kept:
                self._keep(differs, rank, seen)

    def _keep(self, differs: bool, rank: float, seen: Seen) -> None:
        insort(self._kept[differs], (rank, seen), key=lambda entry: entry[0])
        del self._kept[differs][_MOST[differs] :]

    def _limit(self, differs: bool) -> float:
        kept, below = self._kept[differs], self._below[0 if differs else 1]
        return min(below, kept[-1][0]) if len(kept) == _MOST[differs] else below


def windows(items: Iterable[_T]) -> Iterator[tuple[list[_T], _T, list[_T]]]:
    """Each item with those before it and after it, `AROUND` of each."""
    held: deque[_T] = deque(maxlen=2 * AROUND + 1)
    before = 0
    for item in items:
        if len(held) == held.maxlen:
            before -= 1
        held.append(item)
        if len(held) - before > AROUND:
            yield _window(held, before)
            before += 1
    while before < len(held):
        yield _window(held, before)
        before += 1


def _window(held: deque[_T], place: int) -> tuple[list[_T], _T, list[_T]]:
    found = list(held)
    return (
        found[max(0, place - AROUND) : place],
        found[place],
        found[place + 1 : place + 1 + AROUND],
    )
