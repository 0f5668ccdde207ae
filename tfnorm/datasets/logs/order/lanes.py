"""The streams that a log's epochs are made of, each of which one of several workers reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tfnorm.datasets.click_log import Examples
from tfnorm.datasets.logs.order.shuffle import joined
from tfnorm.errors import InputError

LANES = 16
"""The most streams that an epoch is made of: as many workers as that can each read what no other reads."""

_Lane = TypeVar("_Lane")
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Readers:
    """The workers that read a log together.

    Attributes:
        index: which of them this one is.
        count: how many there are.
        gather: gives what each of them gives, in their order; all call it at the same time.
    """

    index: int = 0
    count: int = 1
    gather: Callable[[Any], list[Any]] = lambda value: [value]


def of_lanes(
    lanes: Sequence[_Lane], readers: Readers, function: Callable[[int, _Lane], _T]
) -> list[_T]:
    """What a function gives for each lane and its number, of which each reader asks it for its own.

    Raises:
        InputError: the function raises it, at any of the readers.
    """
    mine, wrong = {}, None
    try:
        for number in range(readers.index, len(lanes), readers.count):
            mine[number] = function(number, lanes[number])
    except InputError as error:
        # The others are told, who would wait for this one.
        wrong = error
    found: dict[int, _T] = {}
    for of_reader, its_error in readers.gather((mine, wrong)):
        if its_error is not None:
            raise its_error
        found |= of_reader
    return [found[number] for number in range(len(lanes))]


def turns(rows: Sequence[int], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which row of which lane comes when, so that each batch has of each lane what is its due.

    The j-th of a lane's n rows comes where (j + 1/2) / n of the epoch is over, as seats are given to parties
    by Sainte-Lague's method. It depends on nothing but the numbers of the rows.

    Args:
        rows: how many each lane has.
        size: how many are told at once.

    Returns:
        The lanes and the numbers of the rows in them, `size` of each, and what is left at the end.
    """
    counts = np.array(rows, np.int64)
    given, total = np.zeros_like(counts), counts.sum()
    # So many of a lane can be among the next: it is never ahead of its due by more than half of the lanes.
    most = np.ceil((size + len(counts)) * counts / max(1, total)).astype(np.int64) + 2
    while given.sum() < total:
        ahead = np.minimum(counts - given, most)
        lane = np.repeat(np.arange(len(counts)), ahead)
        row = np.arange(len(lane)) - np.repeat(np.cumsum(ahead) - ahead - given, ahead)
        first = np.argsort((row + 0.5) / counts[lane], kind="stable")[:size]
        yield lane[first], row[first]
        given += np.bincount(lane[first], minlength=len(counts))


def interleaved(
    lanes: Mapping[int, Iterator[Examples]],
    rows: Sequence[int],
    batch_size: int,
    size: int,
    reader: tuple[int, int],
) -> Iterator[tuple[Examples | None, np.ndarray]]:
    """The rows that one of several readers has of each batch of an epoch.

    Args:
        lanes: number of a lane -> its rows, of those that the reader reads.
        rows: how many each lane has, whoever reads it.
        batch_size: rows of a batch, of all readers together.
        size: about how many rows are put into their order at once.
        reader: its number and how many there are. Where there are more than lanes, some share the rows of
            one.

    Yields:
        The reader's rows of some batches, None where it has none, and where each batch of them ends.
    """
    held = {number: _Rows(parts) for number, parts in lanes.items()}
    index, count = reader
    sharing = len(range(index % len(rows), count, len(rows)))
    for lane, row in turns(rows, max(1, size // batch_size) * batch_size):
        read = np.isin(lane, list(held))
        mine = read & (row % sharing == index // len(rows))
        places = {number: np.flatnonzero(lane == number) for number in held}
        parts = [part for number, place in places.items() for part in held[number].take(len(place))]
        batches = -(-len(lane) // batch_size)
        of_batch = np.bincount(np.flatnonzero(mine) // batch_size, minlength=batches)
        part = None
        if parts:
            among_read = np.cumsum(read) - 1
            part = joined(parts, among_read[np.concatenate(list(places.values()))])
            if sharing > 1:
                part = part[mine[read]]
        yield part, np.cumsum(of_batch)


class _Rows:
    """Parts, of which any number of rows can be taken."""

    def __init__(self, parts: Iterator[Examples]):
        self._parts = parts
        self._left: Examples | None = None

    def take(self, count: int) -> list[Examples]:
        """The next rows, in parts."""
        found = []
        while count:
            part = next(self._parts, None) if self._left is None else self._left
            if part is None:
                raise InputError(
                    "the log has lost rows since they were counted; accepted: files that stay as they are"
                )
            found.append(part[:count])
            self._left = part[count:] if len(part) > count else None
            count -= min(count, len(part))
        return found
