"""A click log that is read a part at a time."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tfnorm.datasets.click_log import Examples, as_batches, ends
from tfnorm.datasets.logs.groups import shares
from tfnorm.datasets.logs.order.lanes import LANES, Readers, interleaved, of_lanes
from tfnorm.datasets.logs.order.shuffle import rebatched, shuffled
from tfnorm.datasets.logs.table import NULLS, Block, as_examples, filled, in_time, taken
from tfnorm.errors import InputError
from tfnorm.schema import Schema

if TYPE_CHECKING:
    import tensorflow as tf

BUFFER = 65_536

Change = Callable[[Examples, np.random.Generator], Examples]
"""What is done to a part of an epoch, such as to draw negatives for it."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Log:
    """A click log that is read a part at a time, as often as wanted.

    Made by `tfnorm.datasets.parquet`, `tfrecord`, `csv`, `jsonl` and `arrays`.

    Args:
        schema: the features that it holds.
        blocks: the parts of the log that are each read in one go.
        nulls: what is done with nulls and NaN: `error` raises; `missing` takes them as the id 0, the empty
            string, the number 0 (in all of a vector if one of its numbers is null) or the empty list, but
            not a step of a history's first column; `drop` leaves the row out.
        since: rows before that time are left out; None to leave none out.
        until: rows from that time on are left out; None to leave none out.
        shard: the index of this part and the number of parts, where several workers share a log.
        users: the range of the users that it has, as two shares from 0 to 1, and the seed that orders the
            users; None for all users.
        readers: the workers that read it together, as `read_together` makes them.

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
    readers: Readers = field(default_factory=Readers)

    def __post_init__(self) -> None:
        if self.nulls not in NULLS:
            raise InputError(f"nulls is {self.nulls!r}; accepted: {', '.join(map(repr, NULLS))}")

    def __len__(self) -> int:
        """How many rows it has; they are read once where the files don't say."""
        return sum(self._rows_of_lanes)

    def with_schema(self, schema: Schema) -> Log:
        """The same rows for a schema of the same columns, such as one with statistics."""
        return replace(self, schema=schema)

    def between(self, since: float | None = None, until: float | None = None) -> Log:
        """The rows from `since` on and before `until`, by the schema's time.

        Args:
            since: a number as the column has it; seconds since 1970 where it has dates.
            until: likewise.

        Raises:
            InputError: the schema has no time, or `since` or `until` is no number.

        Example:

            train, test = log.between(until=1.7e9), log.between(since=1.7e9)
        """
        if self.schema.time is None:
            raise InputError("the schema names no time; accepted: one that does, to split a log by")
        if not all(isinstance(given, Real | None) for given in (since, until)):
            raise InputError(f"since is {since!r} and until {until!r}; accepted: numbers, or None")
        return replace(self, since=since, until=until)

    def sharded(self, index: int, count: int) -> Log:
        """What one of `count` workers reads: a share of the blocks, or of the rows if blocks are few.

        Raises:
            InputError: `index` is not in [0, count).
        """
        if not 0 <= index < count:
            raise InputError(f"shard {index} of {count}; accepted: 0 to {count - 1}")
        return replace(self, shard=(index, count), readers=Readers())

    def read_together(self, index: int, count: int, gather: Callable[[Any], list[Any]]) -> Log:
        """The same log, for several workers that read it together, each of them what no other reads.

        `batches` with a seed gives each worker its rows of every batch, and the batches are those that one
        process has. What needs all rows, such as `len`, `split_by_user` or `tfnorm.datasets.standardize`, has
        every worker read its own and tell the others, so all must ask for it at the same time.

        Args:
            index: which of the workers this one is.
            count: how many there are. Where there are more than blocks, or than 16, some read the same
                blocks and share their rows.
            gather: gives what each worker gives, in their order.

        Raises:
            InputError: `index` is not in [0, count).
        """
        if not 0 <= index < count:
            raise InputError(f"reader {index} of {count}; accepted: 0 to {count - 1}")
        return replace(self, readers=Readers(index, count, gather))

    def of_lanes(self, function: Callable[[int, Log], _T]) -> list[_T]:
        """What a function gives for each lane and its number; each of the readers reads its own.

        Raises:
            InputError: the function raises it, at any of the readers.
        """
        return of_lanes(self.lanes, self.readers, function)

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

        The blocks are dealt out to up to 16 lanes. In each of these they are read one after the other, in a
        random order, and their rows are mixed in a buffer. Every batch has rows of all lanes, in proportion.
        So rows are shuffled only within lanes. Every pass over the dataset is the next epoch, and an epoch's
        order depends only on the log, on the seed and on its number.

        Args:
            batch_size: rows in a batch; the last one has what is left.
            shuffle_seed: None for the log's own order.
            epoch: the number of the first pass.
            buffer: how many rows are mixed at a time, in all lanes together; about twice as many are in
                memory.
            change: a function that changes each part of an epoch, such as `Negatives`; it is given the part
                and a random generator. None to change nothing.

        Returns:
            A dataset of known cardinality; labels and weights are `[N]`.

        Raises:
            InputError: `batch_size` is less than 1, or there is no seed where several workers read together.

        Example:

            model.fit(log.batches(256, shuffle_seed=0), epochs=2)
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be 1 or more")
        if shuffle_seed is None and self.readers.count > 1:
            raise InputError(
                "shuffle_seed is None; accepted: a number, where several workers read together"
            )
        epochs = itertools.count(epoch)
        sample = self._sample(change)

        def parts() -> Iterator[tuple[Examples, np.ndarray]]:
            number = next(epochs)
            if shuffle_seed is None:
                ordered = rebatched(self.parts(), batch_size)
                for part in _changed(ordered, change, [0, number, 0]):
                    yield part, ends(len(part), batch_size)
                return
            for mine, batch_ends in self._interleaved(
                batch_size, (shuffle_seed, number), buffer, change
            ):
                yield sample[:0] if mine is None else mine, batch_ends

        return as_batches(parts, sample._spec(free=True), -(-len(self) // batch_size))

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
            others = " and others" if len(self.blocks) > 1 else ""
            raise InputError(f"{self.blocks[0].where}{others} has no rows; accepted: one or more")
        return first[:count]

    @cached_property
    def fingerprint(self) -> str:
        """A text that tells logs apart, by schema, files and the rows that are taken of them."""
        said = [self.schema.to_dict(), self.nulls, self.since, self.until, self.shard, self.users]
        text = json.dumps([*said, *(b.mark for b in self.blocks)], default=np.generic.item)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def lanes(self) -> tuple[Log, ...]:
        """The log in up to 16 parts that are each read by themselves."""
        blocks = self._own_blocks()
        count = min(LANES, len(blocks)) if self._by_blocks() else 1
        whole = replace(self, readers=Readers())
        if count <= 1:
            return (whole,)
        whole = replace(whole, shard=(0, 1))
        return tuple(replace(whole, blocks=blocks[n::count]) for n in range(count))

    @property
    def _rows_of_lanes(self) -> list[int]:
        # Counted once. Where readers are threads, the lock of `cached_property` would part those that meet.
        if "rows of lanes" not in self.__dict__:
            self.__dict__["rows of lanes"] = self.of_lanes(lambda _, lane: lane._count())
        rows: list[int] = self.__dict__["rows of lanes"]
        return rows

    def _count(self) -> int:
        """How many rows it has, by itself."""
        whole = self.nulls != "drop" and (self.since, self.until, self.users) == (None,) * 3
        known = [block.rows for block in self._own_blocks()]
        if whole and self._by_blocks() and None not in known:
            return sum(rows for rows in known if rows is not None)
        return sum(map(len, self.parts()))

    def _by_blocks(self) -> bool:
        """Whether each worker has blocks of its own."""
        return len(self.blocks) >= self.shard[1]

    def _own_blocks(self) -> tuple[Block, ...]:
        index, count = self.shard
        return self.blocks[index::count] if self._by_blocks() else self.blocks

    def _interleaved(
        self, batch_size: int, epoch: tuple[int, int], buffer: int, change: Change | None
    ) -> Iterator[tuple[Examples | None, np.ndarray]]:
        """Its rows of each batch of an epoch, which a seed and a number tell, and where the batches end."""
        rows, index, count = self._rows_of_lanes, self.readers.index, self.readers.count

        def stream(number: int) -> Iterator[Examples]:
            lane, seed = self.lanes[number], [*epoch, number, 0]
            rng = np.random.default_rng(seed)
            blocks = lane._own_blocks()
            read = (lane._read(blocks[n]) for n in rng.permutation(len(blocks)))
            mixed = shuffled(itertools.chain.from_iterable(read), max(1, buffer // len(rows)), rng)
            return _changed(mixed, change, seed)

        # Readers beyond the number of lanes read those of others.
        mine = {n: stream(n) for n in range(index % len(rows), len(rows), count)}
        return interleaved(mine, rows, batch_size, buffer // 2, (index, count))

    def _read(self, block: Block) -> Iterator[Examples]:
        index, count = self.shard
        number = self.blocks.index(block)
        for table in block.read():
            found, kept = filled(table, self.schema, self.nulls)
            if not self._by_blocks():
                # Counted on from the block's number: short blocks would all begin with the same worker.
                kept &= (number + table.first_row + np.arange(len(table))) % count == index
            if self.schema.time is not None:
                kept &= in_time(found, self.schema.time, self.since, self.until, table.where)
            if self.users is not None:
                first, last, seed = self.users
                rows = table.first_row + np.arange(len(table))
                group = self.schema.group
                place = shares(rows if group is None else found[group].values, seed)
                kept &= (place >= first) & (place < last)
            if not kept.all():
                found = taken(found, kept)
            if kept.any():
                rows = np.flatnonzero(kept) + table.first_row
                yield as_examples(found, self.schema, table.where, rows)

    def _sample(self, change: Change | None) -> Examples:
        """A row, which tells the names and dtypes of a dataset."""
        row = self.examples(1)
        return row if change is None else change(row, np.random.default_rng(0))


def _changed(
    parts: Iterator[Examples], change: Change | None, seed: list[int]
) -> Iterator[Examples]:
    """Each part changed, with a generator that its number and the seed without its end tell."""
    for n, part in enumerate(parts):
        rng = np.random.default_rng([*seed[:-1], n + 1])
        yield part if change is None else change(part, rng)
