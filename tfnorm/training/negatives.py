"""What users did not choose, drawn anew for each epoch: the auxiliary loss of DIEN needs it."""

from __future__ import annotations

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
        Zhou et al., 2019, https://arxiv.org/abs/1809.03672, section 4.2; Vitter, 1985, algorithm R,
        https://doi.org/10.1145/3147.3165.
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
        kinds = {tuple(history.of) for history in self._histories}
        rng = np.random.default_rng(seed)
        pools: dict[tuple[str, ...], _Distinct | _Sample] = {
            kind: _Distinct(pool) if by == "uniform" else _Sample(pool, rng) for kind in kinds
        }
        for part in log.parts():
            for kind, found in pools.items():
                found.add([part.features[name] for name in kind])
            if by == "uniform":
                for history in self._histories:
                    columns = [part.features[column] for column in history.of.values()]
                    there = columns[0] != _padding(columns[0])
                    pools[tuple(history.of)].add([column[there] for column in columns])
        self._pools = {kind: found.result() for kind, found in pools.items()}

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


class _Distinct:
    """The items with the least hashes of all that were added: each is as likely as any other."""

    def __init__(self, pool: int) -> None:
        self._pool = pool
        self._new: list[list[np.ndarray]] = []
        self._count = 0
        self._kept: list[np.ndarray] | None = None

    def add(self, columns: list[np.ndarray]) -> None:
        there = columns[0] != _padding(columns[0])
        if not there.any():
            return
        _, first = np.unique(columns[0][there], return_index=True)
        self._new.append([column[there][first] for column in columns])
        self._count += len(first)
        if self._count >= max(65_536, self._pool // 4):
            self._merge()

    def _merge(self) -> None:
        parts = self._new if self._kept is None else [self._kept, *self._new]
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        ids, first = np.unique(columns[0], return_index=True)
        if len(ids) > self._pool:
            first = first[np.argsort(hashes(ids), kind="stable")[: self._pool]]
        self._kept = [column[np.sort(first)] for column in columns]
        self._new, self._count = [], 0

    def result(self) -> list[np.ndarray]:
        if self._new:
            self._merge()
        return _some(self._kept)


class _Sample:
    """A sample of what was added in which each has the same chance."""

    def __init__(self, pool: int, rng: np.random.Generator) -> None:
        self._pool = pool
        self._rng = rng
        self._seen = 0
        self._kept: list[np.ndarray] | None = None

    def add(self, columns: list[np.ndarray]) -> None:
        there = columns[0] != _padding(columns[0])
        columns = [column[there] for column in columns]
        if self._kept is None:
            self._kept = [column[:0] for column in columns]
        room = self._pool - len(self._kept[0])
        self._kept = [
            np.concatenate([kept, column[:room]])
            for kept, column in zip(self._kept, columns, strict=True)
        ]
        self._seen += min(room, len(columns[0]))
        later = [column[room:] for column in columns]
        numbers = self._seen + np.arange(len(later[0]))
        places = self._rng.integers(numbers + 1)
        taken = places < self._pool
        for kept, column in zip(self._kept, later, strict=True):
            kept[places[taken]] = column[taken]
        self._seen += len(later[0])

    def result(self) -> list[np.ndarray]:
        return _some(self._kept)


def _some(kept: list[np.ndarray] | None) -> list[np.ndarray]:
    if kept is None or not len(kept[0]):
        raise InputError("the log has no item to draw; accepted: one or more")
    return kept


def _padding(column: np.ndarray) -> int | bytes:
    return 0 if column.dtype.kind in "iu" else b""
