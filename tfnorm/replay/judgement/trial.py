"""Calls scored in another way than they were logged, to see whether that gives what was logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfnorm.errors import InputError
from tfnorm.replay.comparison.bounds import Bounds
from tfnorm.replay.comparison.compare import Answered, Compared, compare
from tfnorm.replay.comparison.outputs import Pair
from tfnorm.replay.judgement.sample import Seen
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import Unreachable

_FIRST = 3
"""Calls of which one must agree for the others to be tried."""

Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Rescored:
    """What a call's rows, or some of them, score in another way.

    Attributes:
        outputs: output name -> `[rows, ...]`.
        rows: which of the call's they are; None for all.
    """

    outputs: Outputs
    rows: np.ndarray | None = None

    def of(self, array: np.ndarray) -> np.ndarray:
        """Those rows of what the whole call has."""
        return array if self.rows is None else array[self.rows]


Way = Callable[["Trial", Seen], Rescored | None]
"""Another way to score a call; None where there is none for it."""


@dataclass(frozen=True)
class Agreement:
    """How many calls were scored in another way, and how many of those then score as was logged."""

    calls: int
    of: int

    @property
    def whole(self) -> bool:
        """Whether all do."""
        return 0 < self.of == self.calls

    def __str__(self) -> str:
        return f"{self.calls:,} of {self.of:,} requests tried"


@dataclass(frozen=True, eq=False)
class Trial:
    """What scores, and what is compared.

    Attributes:
        scorer: the model.
        pairs: the outputs that belong together.
        bounds: what is rounding.
        calls: those that differ.
    """

    scorer: Scorer
    pairs: Sequence[Pair]
    bounds: Bounds
    calls: Sequence[Seen]

    def score(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """What the model gives; None where it refuses.

        Raises:
            Unreachable: a server does not answer.
        """
        try:
            return self.scorer.score(feeds)
        except Unreachable:
            raise
        except InputError:
            return None

    def beside_logged(self, seen: Seen, found: Rescored) -> Compared:
        """What was logged beside what the call scores in another way."""
        logged = {name: found.of(array) for name, array in seen.call.outputs.items()}
        return self._compared(self.pairs, logged, found)

    def beside_new(self, seen: Seen, found: Rescored) -> Compared:
        """What the call scores as logged beside what it scores in another way."""
        pairs = [Pair(pair.logged, pair.new) for pair in self.pairs]
        as_logged = {pair.logged: found.of(seen.outputs[pair.new]) for pair in pairs}
        return self._compared(pairs, as_logged, found)

    def agreement(self, way: Way, *, all_of_them: bool = False) -> Agreement:
        """How many of the calls that differ score as was logged, in another way.

        Args:
            way: the other way.
            all_of_them: end at the first that doesn't: no fewer than all are of use.
        """
        agreed = tried = 0
        for seen in self.calls:
            if tried > agreed if all_of_them else tried >= _FIRST and not agreed:
                break
            found = way(self, seen)
            if found is None:
                continue
            tried += 1
            agreed += not self.beside_logged(seen, found).differs
        return Agreement(agreed, tried)

    def _compared(self, pairs: Sequence[Pair], logged: Outputs, found: Rescored) -> Compared:
        count = len(next(iter(found.outputs.values())))
        return compare(pairs, Answered(logged, found.outputs, count), self.bounds)
