"""The largest ids that a model takes, found by trying."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from tfnorm.errors import InputError
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import Unreachable

UNBOUNDED = 10_000
"""Ids stay below it where the model takes any."""

# Each input is tried with an id of its own between the two, so that a refusal tells which it means.
_FROM, _TO = 2**30, 2**31
# What TensorFlow says of an id that a table has no row for: the id, and how many rows there are.
_REFUSED = re.compile(r"=+ (?P<id>\d+) (?:is not in|out of range) \[0, ?(?P<rows>\d+)\)")


def largest_ids(
    scorer: Scorer, plain: Mapping[str, np.ndarray], names: Sequence[str]
) -> dict[str, int]:
    """For each of some integer inputs the largest number that the model takes; `UNBOUNDED` where any.

    All are tried together, and lowered to what the model's refusals say, one call for each table: to seek
    each on its own would take thirty calls, of a model that may have hundreds of inputs. An input whose
    refusals don't tell is sought on its own.

    Args:
        scorer: the model.
        plain: one example that it takes: input name -> `[1, ...]`.
        names: the inputs.

    Raises:
        Unreachable: it is a server that doesn't answer.
    """
    return _Trial(scorer, plain, names).run() if names else {}


class _Trial:
    def __init__(self, scorer: Scorer, plain: Mapping[str, np.ndarray], names: Sequence[str]):
        self._scorer = scorer
        self._plain = plain
        self._step = (_TO - _FROM) // (len(names) + 1)
        self._ids = {
            name: min(_FROM + place * self._step, int(np.iinfo(plain[name].dtype).max))
            for place, name in enumerate(names)
        }
        self._untold = set(names)

    def run(self) -> dict[str, int]:
        while (refusal := self._refusal(self._ids)) is not None:
            if not self._lowered(refusal):
                self._settle(list(self._ids))
                break
        return {
            name: min(found, UNBOUNDED) if name in self._untold else found
            for name, found in self._ids.items()
        }

    def _refusal(self, names: Sequence[str] | Mapping[str, int]) -> str | None:
        """Why the model doesn't take the ids of these inputs together; None where it does."""
        ids = {name: np.full_like(self._plain[name], self._ids[name]) for name in names}
        try:
            self._scorer.score({**self._plain, **ids})
        except Unreachable:
            raise
        except InputError as error:
            return str(error)
        return None

    def _lowered(self, refusal: str) -> bool:
        """Whether a refusal of all tells for which input the id is too large, which is then lowered."""
        found = _REFUSED.search(refusal)
        if found is None:
            return False
        # What the model adds to an id, as where features share a table, is far less than the ids' distance.
        near = [n for n in self._untold if abs(int(found["id"]) - self._ids[n]) < self._step // 2]
        return len(near) == 1 and self._lower(near[0], found)

    def _lower(self, name: str, found: re.Match[str]) -> bool:
        largest = self._ids[name] - (int(found["id"]) - int(found["rows"]) + 1)
        if not 0 <= largest < self._ids[name]:
            return False
        self._ids[name] = largest
        self._untold.discard(name)
        return True

    def _settle(self, names: list[str]) -> None:
        """Seek the inputs whose ids are refused, by halves, and lower each on its own."""
        if self._refusal(names) is None:
            return
        if len(names) > 1:
            half = len(names) // 2
            self._settle(names[:half])
            self._settle(names[half:])
            return
        (name,) = names
        while (refusal := self._refusal(names)) is not None:
            found = _REFUSED.search(refusal)
            if found is None or not self._lower(name, found):
                self._bisect(name)
                return

    def _bisect(self, name: str) -> None:
        low, high = 0, self._ids[name]
        self._untold.discard(name)
        while high - low > 1:
            self._ids[name] = (low + high) // 2
            if self._refusal([name]) is None:
                low = self._ids[name]
            else:
                high = self._ids[name]
        self._ids[name] = low
