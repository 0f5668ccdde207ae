"""Some of the rows, logged and new, drawn evenly: to plot them, and to see what relates the two."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

KEPT = 2000


class Points:
    """Pairs of a logged and a new score, at most `KEPT`, each row as likely as any other.

    A row's rank in the draw is a hash of its place in the log, so that two of them merge to what one would
    have drawn, in any order.

    Args:
        seed: of the draw.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed
        self._ranks = np.zeros(0, np.uint64)
        self._pairs = np.zeros((0, 2))
        self._limit = np.uint64(np.iinfo(np.uint64).max)

    def add(
        self, numbers: np.ndarray, rows: np.ndarray, logged: np.ndarray, new: np.ndarray
    ) -> None:
        """Draw from rows: the `place_of` the call, the row in it and both scores of each, `[rows]` all."""
        ranks = _hash(numbers.astype(np.uint64), rows.astype(np.uint64), self.seed)
        drawn = ranks <= self._limit
        if drawn.any():
            self._take(ranks[drawn], np.stack([logged, new], 1)[drawn])

    def merge(self, other: Points) -> None:
        """Draw from what another has drawn."""
        self._take(other._ranks, other._pairs)

    @property
    def logged(self) -> np.ndarray:
        """`[rows]`, float64."""
        return np.asarray(self._pairs[self._order(), 0])

    @property
    def new(self) -> np.ndarray:
        """`[rows]`, float64."""
        return np.asarray(self._pairs[self._order(), 1])

    def to_dict(self) -> dict[str, Any]:
        """It as plain data."""
        order = self._order()
        return {
            "seed": self.seed,
            "ranks": self._ranks[order].tolist(),
            "pairs": self._pairs[order].tolist(),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Points:
        """What `to_dict` gave."""
        made = cls(document["seed"])
        pairs = np.array(document["pairs"], np.float64).reshape(-1, 2)
        made._take(np.array(document["ranks"], np.uint64), pairs)
        return made

    def _order(self) -> np.ndarray:
        return np.argsort(self._ranks, kind="stable")[:KEPT]

    def _take(self, ranks: np.ndarray, pairs: np.ndarray) -> None:
        self._ranks = np.concatenate([self._ranks, ranks])
        self._pairs = np.concatenate([self._pairs, pairs])
        if len(self._ranks) > 2 * KEPT:
            order = self._order()
            self._ranks, self._pairs = self._ranks[order], self._pairs[order]
            self._limit = self._ranks[-1]


def place_of(file: str | None, number: int) -> int:
    """A call's place: its number, and where the log has several files one that is apart for each file."""
    return number if file is None else (number ^ zlib.crc32(file.encode()) << 16) % (1 << 40)


def _hash(numbers: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """Splitmix64 of a row's place."""
    with np.errstate(over="ignore"):
        x = rows + (numbers << np.uint64(24)) + np.uint64(seed) * np.uint64(2**62 + 1)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x + np.uint64(0x9E3779B97F4A7C15)) if shift == 30 else x
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        return np.asarray(x ^ (x >> np.uint64(31)))
