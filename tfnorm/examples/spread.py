"""Some of many examples, evenly spread, or all of them in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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


class Requests(Generic[_Row]):
    """Keeps some of any number of requests, whole and evenly spread: every second goes when there are many.

    Args:
        limit: of the rows of all that are kept; one request is kept whatever its rows. None for all.
    """

    def __init__(self, limit: int | None):
        self.seen = self.rows_seen = 0
        self._limit = limit
        self._step = 1
        self._kept: list[Sequence[_Row]] = []
        self._rows = 0

    def add(self, request: Sequence[_Row]) -> None:
        if self.seen % self._step == 0:
            self._kept.append(request)
            self._rows += len(request)
            while self._limit is not None and self._rows >= 2 * self._limit and len(self._kept) > 1:
                self._kept = self._kept[::2]
                self._step *= 2
                self._rows = sum(map(len, self._kept))
        self.seen += 1
        self.rows_seen += len(request)

    def kept(self) -> list[Sequence[_Row]]:
        """The requests, in their order."""
        chosen, count = self._kept, len(self._kept)
        while count > 1 and self._limit is not None and sum(map(len, chosen)) > self._limit:
            # By their share, and one at least: they may be of very different sizes.
            count = max(1, min(count - 1, count * self._limit // sum(map(len, chosen))))
            chosen = [self._kept[i] for i in spread(len(self._kept), count)]
        return chosen
