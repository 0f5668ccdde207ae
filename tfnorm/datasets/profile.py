"""What the columns of a log's files look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from tfnorm.datasets.logs import arrow
from tfnorm.datasets.logs.files import Files, find
from tfnorm.datasets.logs.parquet import SUFFIXES as PARQUET
from tfnorm.datasets.logs.read import SUFFIXES, kind_of
from tfnorm.datasets.logs.text import CSV_SUFFIXES, JSON_SUFFIXES, SEPARATOR
from tfnorm.datasets.logs.tf_records import SUFFIXES as TFRECORD
from tfnorm.errors import InputError
from tfnorm.files.arrow import open_parquet, pyarrow
from tfnorm.files.tf_records import record_batches

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLED = 100_000
"""Distinct values of a column that are counted; beyond that it has many."""

_WIDER = ("integer", "float", "string")


@dataclass
class Profile:
    """What a column holds.

    Attributes:
        name: of the column.
        kind: of its values, or of its lists': `integer`, `float` (booleans too), `string`, `time`; or
            `other` for a type that no feature has.
        is_list: whether some row has a list.
        rows: how many rows there are.
        distinct: its values, up to so many that the rest does not matter: none where all is null, and
            None alone for times and for others.
        least: the least integer or number.
        greatest: the greatest.
        shortest: of its lists; null is none.
        longest: of its lists.
        lengths: a digest of the lengths of all lists: equal where two columns go together. A value counts
            as a list of one, and null as the empty list.
    """

    name: str
    kind: str
    is_list: bool
    rows: int = 0
    distinct: set[Any] = field(default_factory=set)
    least: float = float("inf")
    greatest: float = float("-inf")
    shortest: int = 1 << 62
    longest: int = 0
    lengths: int = 0

    def add(self, array: pa.Array) -> None:
        """Take in more rows, whose type may be wider than that of those before.

        Raises:
            InputError: they are times and those before were not, or the reverse.
        """
        pa, compute = pyarrow(), pyarrow("compute")
        kind, is_list = _type(array.type)
        self.rows += len(array)
        if kind == "other":
            if array.null_count < len(array):
                self._widen(kind)
                self.distinct = {None}
            return
        self.is_list = self.is_list or is_list
        lengths = compute.list_value_length(array).fill_null(0) if is_list else array.is_valid()
        lengths = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
        there = array.is_valid().to_numpy(zero_copy_only=False)
        self.shortest = int(lengths.min(initial=self.shortest, where=there))
        self.longest = int(lengths.max(initial=self.longest))
        self.lengths = hash((self.lengths, lengths.tobytes()))
        array = array.flatten() if is_list else array
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if arrow.is_string(array.type):
            array = array.cast(pa.large_binary())  # Arrow can do little with its views of strings.
        array = array.drop_null()
        if kind == "float":
            array = array.cast(pa.float64())
            array = array.filter(compute.invert(compute.is_nan(array)))
        if not len(array):
            return
        self._widen(kind)
        if pa.types.is_decimal(array.type):
            array = array.cast(pa.int64())
        if kind in ("integer", "float"):
            ends = compute.min_max(array)
            self.least = min(self.least, ends["min"].as_py())
            self.greatest = max(self.greatest, ends["max"].as_py())
        if self.kind == "time":
            self.distinct = {None}
        elif len(self.distinct) < _SAMPLED:
            found = array.unique().to_pylist()
            self.distinct |= set(map(_text, found) if self.kind == "string" else found)

    def _widen(self, kind: str) -> None:
        if kind == self.kind:
            return
        if not self.distinct:  # There was nothing but nulls.
            self.kind = kind
        elif "other" in (kind, self.kind):
            self.kind = "other"
        elif "time" in (kind, self.kind):
            raise InputError(
                f"column {self.name!r} holds values of the kind {self.kind} and then of the kind {kind}; "
                "accepted: times alone, or none"
            )
        else:
            self.kind = max(kind, self.kind, key=_WIDER.index)
            if self.kind == "string":
                self.distinct = set(map(_text, self.distinct))


def profiles(files: Files) -> list[Profile]:
    """What the columns of the files look like, in their order.

    Raises:
        InputError: there is no file, one can't be read or has several columns of one name, or a column has
            times in one and not in another.
    """
    found: dict[str, Profile] = {}
    for path in find(files, SUFFIXES):
        for batch in _batches(path):
            names = batch.schema.names
            arrow.check_columns(names, names, str(path))
            for name in names:
                array = batch.column(name)
                array = array.combine_chunks() if hasattr(array, "combine_chunks") else array
                try:
                    found.setdefault(name, Profile(name, *_type(array.type))).add(array)
                except pyarrow().ArrowInvalid as error:
                    raise InputError(f"{path}, column {name!r} can't be read: {error}") from error
    return list(found.values())


def _type(kind: Any) -> tuple[str, bool]:
    """The kind of a type's values, and whether it is of lists."""
    types = pyarrow().types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    kind = kind.value_type if is_list else kind
    kind = kind.value_type if types.is_dictionary(kind) else kind
    # What is null everywhere is taken for whatever comes later.
    if types.is_null(kind) or types.is_integer(kind) or arrow.is_whole_decimal(kind):
        return "integer", is_list
    if types.is_boolean(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "float", is_list
    if types.is_timestamp(kind) or types.is_date(kind):
        return "time", is_list
    return "string" if arrow.is_string(kind) else "other", is_list


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _batches(path: Path) -> Iterator[pa.RecordBatch | pa.Table]:
    pa = pyarrow()
    readers: dict[tuple[str, ...], Callable[[Path], Iterator[Any]]] = {
        PARQUET: _parquet,
        CSV_SUFFIXES: _csv,
        JSON_SUFFIXES: _json,
        TFRECORD: _tfrecord,
    }
    try:
        yield from readers[kind_of(path)](path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} can't be read: {error}") from error


def _parquet(path: Path) -> Iterator[pa.RecordBatch]:
    with open_parquet(path) as file:
        yield from file.iter_batches(65_536)


def _csv(path: Path) -> Iterator[pa.Table]:
    for batch in pyarrow("csv").open_csv(path):
        yield pyarrow().table(list(map(_lists, batch.columns)), batch.schema.names)


def _lists(cells: pa.Array) -> pa.Array:
    """A CSV's column, of lists where a cell has what stands between their values."""
    pa, compute = pyarrow(), pyarrow("compute")
    if not pa.types.is_string(cells.type):
        return cells
    if not compute.any(compute.match_substring(cells, SEPARATOR)).as_py():
        return cells
    lists = compute.split_pattern(cells, SEPARATOR)
    lists = compute.if_else(compute.equal(cells, ""), pa.scalar([], lists.type), lists)
    for kind in (pa.int64(), pa.float64()):
        try:
            return lists.cast(pa.list_(kind))
        except pa.ArrowInvalid:
            continue
    return lists


def _json(path: Path) -> Iterator[pa.Table]:
    yield pyarrow("json").read_json(path)


def _tfrecord(path: Path) -> Iterator[pa.Table]:
    import tensorflow as tf

    pa = pyarrow()
    try:
        for batch in record_batches(path, 4096):
            rows = [_row(tf.train.Example.FromString(record)) for record in batch]
            names = {name: None for row in rows for name in row}
            # A list somewhere is a list everywhere.
            lists = {n for n in names if any(len(row.get(n, [0])) != 1 for row in rows)}
            yield pa.table(
                {
                    n: [row.get(n, []) if n in lists else (row.get(n) or [None])[0] for row in rows]
                    for n in names
                }
            )
    except DecodeError as error:
        raise InputError(f"{path} has a record that is no tf.Example") from error


def _row(example: Any) -> dict[str, list[Any]]:
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        if kind == "bytes_list":
            values = list(map(_text, values))
        found[name] = values
    return found
