"""Some calls, kept whole with those that came before and after, to try on them what explains them."""

from __future__ import annotations

import random
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

    Args:
        seed: of the draw.
    """

    def __init__(self, seed: int):
        self.different: list[Seen] = []
        self.others: list[Seen] = []
        self._random = random.Random(seed)
        self._seen = {True: 0, False: 0}

    def add(self, before: Sequence[Seen | None], seen: Seen, after: Sequence[Seen | None]) -> None:
        """Draw or not; what stands around a call is None where the model did not score it."""
        differs = seen.compared.differs
        kept, most = (self.different, DIFFERENT) if differs else (self.others, OTHERS)
        place = (
            self._seen[differs]
            if len(kept) < most
            else self._random.randint(0, self._seen[differs])
        )
        self._seen[differs] += 1
        if place >= most:
            return
        earlier = [one for one in before if one is not None]
        around = [*earlier, seen, *(one for one in after if one is not None)]
        whole = Seen(seen.call, seen.fitted, seen.outputs, seen.compared, around, len(earlier))
        if len(kept) < most:
            kept.append(whole)
        else:
            kept[place] = whole


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
