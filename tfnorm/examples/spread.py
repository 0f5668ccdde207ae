"""Some of many examples, evenly spread, or all of them in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

# The command line shows the limit in its help, which waits for no NumPy.
if TYPE_CHECKING:
    import numpy as np

LIMIT = 4096
"""Examples that are scored; of more, as many evenly spread."""

_Row = TypeVar("_Row")


def spread(count: int, limit: int | None) -> np.ndarray:
    """The numbers of `limit` of `count` rows, evenly spread; of all where they are no more."""
    import numpy as np

    if limit is None or count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).astype(int)


def parts(rows: Iterable[_Row], size: int) -> Iterator[list[_Row]]:
    """The rows, so many at a time; the last part has what is left."""
    left = iter(rows)
    while part := list(islice(left, size)):
        yield part


class Thinned(Generic[_Row]):
    """Keeps some of any number of rows, evenly spread: every second goes when they are too many."""

    def __init__(self, limit: int | None):
        self.seen = 0
        self._limit = limit
        self._step = 1
        self._kept: list[_Row] = []

    def add(self, row: _Row) -> None:
        if self.seen % self._step == 0:
            self._kept.append(row)
            if self._limit is not None and len(self._kept) >= 2 * self._limit:
                self._kept = self._kept[::2]
                self._step *= 2
        self.seen += 1

    def rows(self) -> list[_Row]:
        return [self._kept[i] for i in spread(len(self._kept), self._limit)]
