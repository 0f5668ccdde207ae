"""What users did not choose, drawn anew for each epoch: the auxiliary loss of DIEN needs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from tfnorm.datasets import Examples, Log
from tfnorm.datasets.logs.groups import hashes
from tfnorm.datasets.negatives import NoneLeftError, draw_others
from tfnorm.errors import InputError
from tfnorm.models.dien import negative
from tfnorm.schema import History

By = Literal["uniform", "frequency"]

_POOL = 1_000_000


class Negatives:
    """Draws, for each step of each history, an item that the history does not have.

    `uniform`: each item of the log, in a target or in a history, is as likely as any other.
    `frequency`: an item is as likely as it is often a target, as the authors of DIEN draw from all of
    their reviews.

    One pass over the log finds what can be drawn, and keeps at most `pool` of it: the items with the
    smallest hashes, or a sample of the targets. What is drawn depends on the seed of `Log.batches`, on the
    epoch's number and on the place in the epoch.

    Args:
        log: the training log.
        by: `uniform` or `frequency`.
        pool: how many items, or targets, are kept at most.
        seed: decides which items or targets are kept.

    Raises:
        InputError: an argument is not as said here, or the log's schema has no history; when it draws: a
            history has every item.

    Example:

        negatives = tfnorm.training.Negatives(log, by="frequency")
        DIEN(log.schema).fit(log.batches(256, shuffle_seed=0, change=negatives))

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1809.03672, section 4.2.
    """

    def __init__(self, log: Log, by: By = "uniform", *, pool: int = _POOL, seed: int = 0) -> None:
        if by not in get_args(By):
            raise InputError(f"by is {by!r}; accepted: {', '.join(map(repr, get_args(By)))}")
        if pool < 2:
            raise InputError(f"pool is {pool}; it must be 2 or more")
        self._histories = log.schema.histories
        if not self._histories:
            raise InputError("the log's schema has no history; accepted: one or more")
        # By name, as two histories of the same features draw from the same items.
        kinds = list(dict.fromkeys(tuple(history.of) for history in self._histories))

        def of_lane(number: int, lane: Log) -> dict[tuple[str, ...], _Pool]:
            rng = np.random.default_rng([seed, number])
            pools: dict[tuple[str, ...], _Pool] = {
                kind: _Distinct(pool) if by == "uniform" else _Sample(pool, rng) for kind in kinds
            }
            for part in lane.parts():
                for kind, found in pools.items():
                    found.add([part.features[name] for name in kind])
                if by == "uniform":
                    for history in self._histories:
                        columns = [part.features[column] for column in history.of.values()]
                        there = columns[0] != _padding(columns[0])
                        pools[tuple(history.of)].add([column[there] for column in columns])
            for found in pools.values():
                found.cut()
            return pools

        whole, *others = log.of_lanes(of_lane)
        for other in others:
            for kind, found in whole.items():
                found.merge(other[kind])
        self._pools = {kind: found.result() for kind, found in whole.items()}

    def __call__(self, examples: Examples, rng: np.random.Generator) -> Examples:
        """The examples with a column of negatives for each column of ids of each history.

        Args:
            examples: a part of an epoch.
            rng: what to draw with.

        Raises:
            InputError: a history has each of the items that there are.
        """
        drawn: dict[str, np.ndarray] = {}
        for history in self._histories:
            drawn |= self._drawn(history, examples, rng)
        return replace(examples, features={**examples.features, **drawn})

    def _drawn(
        self, history: History, examples: Examples, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        choices = self._pools[tuple(history.of)]
        had = examples.features[next(iter(history.of.values()))]
        rows, steps = np.nonzero(had != _padding(had))
        try:
            chosen = draw_others(had, rows, choices[0], rng)
        except NoneLeftError:
            raise InputError(
                f"feature {history.name!r}: a history has each of the "
                f"{len(np.unique(choices[0]))} items that there are: none is left for a negative"
            ) from None
        found = {}
        for column, values in zip(history.of.values(), choices, strict=True):
            like = examples.features[column]
            drawn = np.full(like.shape, _padding(like), like.dtype)
            drawn[rows, steps] = values[chosen]
            found[negative(column)] = drawn
        return found


class _Pool(ABC):
    """Those of all items that were added that have the least keys: pools merge in any order."""

    def __init__(self, pool: int) -> None:
        self._pool = pool
        self._most: float | int | None = None
        self._held: list[list[np.ndarray]] = []
        self._count = 0

    def add(self, columns: list[np.ndarray]) -> None:
        """Add items, of which the first column tells whether they are padding."""
        there = columns[0] != _padding(columns[0])
        self._hold(self._keyed([column[there] for column in columns]))

    def merge(self, other: _Pool) -> None:
        for keyed in other._held:
            self._hold(keyed)

    def result(self) -> list[np.ndarray]:
        self.cut()
        if not self._count:
            raise InputError("the log has no item to draw; accepted: one or more")
        return self._held[0][1:]

    @abstractmethod
    def _keyed(self, columns: list[np.ndarray]) -> list[np.ndarray]:
        """The columns, and before them the keys."""

    def _least(self, keyed: list[np.ndarray]) -> np.ndarray:
        """Which come first."""
        return np.argsort(keyed[0], kind="stable")

    def _hold(self, keyed: list[np.ndarray]) -> None:
        if self._most is not None:
            few = keyed[0] <= self._most
            keyed = [column[few] for column in keyed]
        self._held.append(keyed)
        self._count += len(keyed[0])
        if self._count >= self._pool + max(65_536, self._pool // 4):
            self.cut()

    def cut(self) -> None:
        """Keep no more than the pool."""
        if not self._held:
            return
        whole = [np.concatenate(column) for column in zip(*self._held, strict=True)]
        first = self._least(whole)[: self._pool]
        self._held, self._count = [[column[first] for column in whole]], len(first)
        if len(first) == self._pool:
            self._most = self._held[0][0][-1]


class _Distinct(_Pool):
    """Of the items each once: by their hashes, each is as likely as any other."""

    def _keyed(self, columns: list[np.ndarray]) -> list[np.ndarray]:
        _, first = np.unique(columns[0], return_index=True)
        found = [column[first] for column in columns]
        return [hashes(found[0]), *found]

    def _least(self, keyed: list[np.ndarray]) -> np.ndarray:
        _, first = np.unique(keyed[1], return_index=True)
        found: np.ndarray = first[np.argsort(keyed[0][first], kind="stable")]
        return found


class _Sample(_Pool):
    """A sample of what was added, in which each has the same chance."""

    def __init__(self, pool: int, rng: np.random.Generator) -> None:
        super().__init__(pool)
        self._rng = rng

    def _keyed(self, columns: list[np.ndarray]) -> list[np.ndarray]:
        return [self._rng.random(len(columns[0])), *columns]


def _padding(column: np.ndarray) -> int | bytes:
    return 0 if column.dtype.kind in "iu" else b""
