"""A click log that is read a part at a time."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import tensorflow as tf

from tfnorm.datasets.click_log import Examples, as_batches
from tfnorm.datasets.logs.groups import shares
from tfnorm.datasets.logs.shuffle import by_turns, rebatched, shuffled
from tfnorm.datasets.logs.table import NULLS, Block, filled, taken, wanted
from tfnorm.errors import InputError
from tfnorm.schema import Schema
from tfnorm.schema.rows import Values, fitted

BUFFER = 65_536

Change = Callable[[Examples, np.random.Generator], Examples]
"""What is done to a part of an epoch, such as to draw negatives for it."""


@dataclass(frozen=True, eq=False)
class Log:
    """A click log that is read a part at a time, as often as wanted.

    Made by `tfnorm.datasets.parquet`, `tfrecord`, `csv`, `jsonl` and `arrays`.

    Args:
        schema: the features that it holds.
        blocks: the parts of the log that are each read in one go.
        nulls: what is done with nulls and NaN: `error` raises; `missing` takes them as the id 0, the empty
            string, the number 0 (in all of a vector if one of its numbers is null) or the empty list;
            `drop` leaves the row out.
        since: rows before that time are left out; None to leave none out.
        until: rows from that time on are left out; None to leave none out.
        shard: the index of this part and the number of parts, where several workers share a log.
        users: the range of the users that it has, as two shares from 0 to 1, and the seed that orders the
            users; None for all users.

    Raises:
        InputError: `nulls` is none of these. What is wrong with a row is found when it is read: a value
            that isn't as the schema says, or null; the message names file, row and column.

    Example:

        >>> schema = tfnorm.Schema([tfnorm.schema.Id("item", size=9)], target=["item"])
        >>> columns = {"item": np.arange(6), "label": np.array([1, 0, 0, 1, 0, 0])}
        >>> log = tfnorm.datasets.arrays(columns, schema)
        >>> len(log), len(log.batches(4))
        (6, 2)
    """

    schema: Schema
    blocks: tuple[Block, ...]
    nulls: str = "error"
    since: float | None = None
    until: float | None = None
    shard: tuple[int, int] = (0, 1)
    users: tuple[float, float, int] | None = None

    def __post_init__(self) -> None:
        if self.nulls not in NULLS:
            raise InputError(f"nulls is {self.nulls!r}; accepted: {', '.join(map(repr, NULLS))}")

    def __len__(self) -> int:
        """How many rows it has; they are read once where the files don't say."""
        return self._rows

    def with_schema(self, schema: Schema) -> Log:
        """The same rows for a schema of the same columns, such as one with statistics."""
        return replace(self, schema=schema)

    def between(self, since: float | None = None, until: float | None = None) -> Log:
        """The rows from `since` on and before `until`, by the schema's time.

        Args:
            since: a number as the column has it; seconds since 1970 where it has dates.
            until: likewise.

        Raises:
            InputError: the schema has no time.

        Example:

            train, test = log.between(until=1.7e9), log.between(since=1.7e9)
        """
        if self.schema.time is None:
            raise InputError("the schema names no time; accepted: one that does, to split a log by")
        return replace(self, since=since, until=until)

    def sharded(self, index: int, count: int) -> Log:
        """What one of `count` workers reads: a share of the blocks, or of the rows if blocks are few.

        Raises:
            InputError: `index` is not in [0, count).
        """
        if not 0 <= index < count:
            raise InputError(f"shard {index} of {count}; accepted: 0 to {count - 1}")
        return replace(self, shard=(index, count))

    def split_by_user(self, share: float, *, seed: int = 0) -> tuple[Log, Log]:
        """Split it into two parts that have no user in common, such as for early stopping.

        A user's later history would give away the earlier clicks. Users are chosen by a hash of their
        names, so the share of the users is only nearly what was asked for. Where the
        schema names no group, each row is taken for a user of its own.

        Args:
            share: the share of the users that go to the second part, between 0 and 1.
            seed: decides which users are chosen.

        Returns:
            The rows of the other users, and those of the chosen ones, in their order.

        Raises:
            InputError: the share leaves one of the parts without rows.

        Example:

            train, validation = log.split_by_user(0.1)
        """
        if not 0 < share < 1:
            raise InputError(f"share is {share}; it must be between 0 and 1")
        parts = tuple(replace(self, users=(*ends, seed)) for ends in ((share, 1.0), (0.0, share)))
        for part in parts:
            if not len(part):
                raise InputError(
                    f"a share of {share} leaves {len(parts[0])} of {len(self)} rows and takes "
                    f"{len(parts[1])}; both parts need some"
                )
        return parts[0], parts[1]

    def batches(
        self,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        epoch: int = 0,
        buffer: int = BUFFER,
        change: Change | None = None,
    ) -> tf.data.Dataset:
        """The rows as `(features, labels)` or `(features, labels, weights)`, for Keras's `fit`.

        Blocks are read in a random order, a few by turns, and their rows are mixed in a buffer, so rows are
        shuffled only within these. Every pass over the dataset is the next epoch, and an epoch's order
        depends only on the seed and on its number.

        Args:
            batch_size: rows in a batch; the last one has what is left.
            shuffle_seed: None for the log's own order.
            epoch: the number of the first pass.
            buffer: how many rows are mixed at a time; about twice as many are in memory.
            change: a function that changes each part of an epoch, such as `Negatives`; it is given the part
                and a random generator. None to change nothing.

        Returns:
            A dataset of known cardinality; labels and weights are `[N]`.

        Raises:
            InputError: `batch_size` is less than 1.

        Example:

            model.fit(log.batches(256, shuffle_seed=0), epochs=2)
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be 1 or more")
        epochs = itertools.count(epoch)

        def parts() -> Iterator[Examples]:
            number = next(epochs)
            for n, part in enumerate(self._ordered(batch_size, shuffle_seed, number, buffer)):
                rng = np.random.default_rng([shuffle_seed or 0, number, n + 1])
                yield part if change is None else change(part, rng)

        return as_batches(
            parts, self._sample(change)._spec(free=True), batch_size, -(-len(self) // batch_size)
        )

    def parts(self) -> Iterator[Examples]:
        """The rows in the log's order, some thousands at a time.

        Raises:
            InputError: a file is damaged, or a row isn't as the schema says.
        """
        return itertools.chain.from_iterable(map(self._read, self._own_blocks()))

    def examples(self, count: int) -> Examples:
        """The first rows.

        Raises:
            InputError: there is none.
        """
        first = next(rebatched(self.parts(), count), None)
        if first is None:
            raise InputError(f"{self._name()} has no rows; accepted: one or more")
        return first[:count]

    @cached_property
    def fingerprint(self) -> str:
        """A text that tells logs apart, by schema, files and the rows that are taken of them."""
        said = [self.schema.to_dict(), self.nulls, self.since, self.until, self.shard, self.users]
        text = json.dumps([*said, *(block.mark for block in self.blocks)])
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _rows(self) -> int:
        whole = self.nulls != "drop" and (self.since, self.until, self.users) == (None,) * 3
        known = [block.rows for block in self._own_blocks()]
        if whole and self._by_blocks() and None not in known:
            return sum(rows for rows in known if rows is not None)
        return sum(map(len, self.parts()))

    def _name(self) -> str:
        return self.blocks[0].where + (" and others" if len(self.blocks) > 1 else "")

    def _by_blocks(self) -> bool:
        """Whether each worker has blocks of its own."""
        return len(self.blocks) >= self.shard[1]

    def _own_blocks(self) -> tuple[Block, ...]:
        index, count = self.shard
        return self.blocks[index::count] if self._by_blocks() else self.blocks

    def _ordered(
        self, batch_size: int, seed: int | None, epoch: int, buffer: int
    ) -> Iterator[Examples]:
        if seed is None:
            return rebatched(self.parts(), batch_size)
        rng = np.random.default_rng([seed, epoch, 0])
        blocks = self._own_blocks()
        order = (self._read(blocks[n]) for n in rng.permutation(len(blocks)))
        return shuffled(by_turns(order), max(buffer, batch_size), batch_size, rng)

    def _read(self, block: Block) -> Iterator[Examples]:
        index, count = self.shard
        number = self.blocks.index(block)
        for table in block.read():
            found, kept = filled(table, self.schema, self.nulls)
            if not self._by_blocks():
                # Counted on from the block's number: short blocks would all begin with the same worker.
                kept &= (number + table.first_row + np.arange(len(table))) % count == index
            if self.schema.time is not None:
                kept &= self._in_time(found[self.schema.time].values, table.where)
            if self.users is not None:
                first, last, seed = self.users
                rows = table.first_row + np.arange(len(table))
                group = self.schema.group
                place = shares(rows if group is None else found[group].values, seed)
                kept &= (place >= first) & (place < last)
            if not kept.all():
                found = taken(found, kept)
            if kept.any():
                yield self._examples(found, table.where, np.flatnonzero(kept) + table.first_row)

    def _in_time(self, times: np.ndarray, where: str) -> np.ndarray:
        kept = np.ones(len(times), bool)
        if self.since is None and self.until is None:
            return kept
        if times.dtype.kind not in "iuf":
            raise InputError(
                f"{where}, column {self.schema.time!r} holds {times.dtype}; accepted: numbers or dates"
            )
        if self.since is not None:
            kept &= times >= self.since
        if self.until is not None:
            kept &= times < self.until
        return kept

    def _examples(self, found: dict[str, Values], where: str, rows: np.ndarray) -> Examples:
        schema = self.schema
        features = fitted(schema.columns, found, where, rows)
        others = {name: wanted(schema)[name] for name in (schema.label, schema.weight) if name}
        numbers = fitted(others, found, where, rows)
        labels = numbers[schema.label]
        if len(bad := np.flatnonzero((labels < 0) | (labels > 1))):
            raise InputError(
                f"{where}, row {rows[bad[0]]}, column {schema.label!r} is {labels[bad[0]]}; "
                "accepted: from 0 to 1"
            )
        return Examples(
            features,
            labels,
            None if schema.group is None else found[schema.group].values,
            None if schema.weight is None else numbers[schema.weight],
        )

    def _sample(self, change: Change | None) -> Examples:
        """A row, which tells the names and dtypes of a dataset."""
        row = self.examples(1)
        return row if change is None else change(row, np.random.default_rng(0))
