"""Logs in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from tfnorm.datasets.click_log import ClickLog, Examples
from tfnorm.datasets.logs.log import Log
from tfnorm.datasets.logs.table import Block, Raw, Table, wanted
from tfnorm.errors import InputError
from tfnorm.schema import Column, Schema
from tfnorm.schema.rows import as_bytes

_ROWS = 4096


def arrays(
    columns: Mapping[str, np.ndarray], schema: Schema, *, nulls: str = "error", name: str = "arrays"
) -> Log:
    """A click log in memory.

    Args:
        columns: name -> array, for the features, the label and the schema's other columns. Lists are the
            rows of a two-dimensional array, padded at their ends, or the elements of an array of objects,
            each a list or an array.
        schema: the features that it holds.
        nulls: what is done with NaN and None; see `Log`.
        name: what messages call the log.

    Returns:
        The log.

    Raises:
        InputError: a column is missing, or they differ in their lengths.

    Example:

        >>> schema = tfnorm.Schema([tfnorm.schema.Id("item", size=9)], target=["item"])
        >>> log = tfnorm.datasets.arrays({"item": np.array([3, 4]), "label": np.array([1, 0])}, schema)
        >>> [labels.numpy().tolist() for _, labels in log.batches(2)]
        [[1.0, 0.0]]
    """
    read = wanted(schema)
    if missing := [column for column in read if column not in columns]:
        raise InputError(
            f"{name} has no {', '.join(map(repr, missing))}; accepted: {', '.join(map(repr, read))}"
        )
    found = {column: np.asarray(columns[column]) for column in read}
    sizes = {column: len(array) if array.ndim else 0 for column, array in found.items()}
    if len(set(sizes.values())) != 1:
        raise InputError(
            f"{name} has {', '.join(f'{n} of {column!r}' for column, n in sizes.items())}; "
            "accepted: as many of each"
        )
    rows = next(iter(sizes.values()))

    def table(start: int) -> Iterator[Table]:
        part = {c: array[start : start + _ROWS] for c, array in found.items()}
        yield Table(_raws(part, read, f"{name}, row {start}"), name, start)

    # Many, since a shuffle mixes rows that are far from each other by the order of blocks alone.
    mark = _mark(found)
    blocks = (
        Block(name, min(_ROWS, rows - start), f"{mark} {start}", partial(table, start))
        for start in range(0, max(rows, 1), _ROWS)
    )
    return Log(schema, tuple(blocks), nulls)


def as_logs(log: ClickLog) -> tuple[Log, Log]:
    """The train and the test split of a click log as logs.

    Args:
        log: a click log such as `synthetic` and `amazon` return.

    Returns:
        A log of each, with the click log's schema.

    Example:

        >>> train, test = as_logs(tfnorm.datasets.synthetic(train_size=100, test_size=50))
        >>> len(train), len(test), list(train.schema.columns)[:2]
        (100, 50, ['item', 'category'])
    """

    schema = log.schema
    if log.train.users is None or log.test.users is None:
        schema = replace(schema, group=None)

    def one(part: Examples, split: str) -> Log:
        columns = {**part.features, schema.label: part.labels}
        if schema.group is not None:
            assert part.users is not None
            columns[schema.group] = part.users
        return arrays(columns, schema, name=f"{log.name}, {split}")

    return one(log.train, "train"), one(log.test, "test")


def _mark(found: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in found.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        plain = array if array.dtype.kind != "O" else np.array(repr(array.tolist()))
        digest.update(np.ascontiguousarray(plain).tobytes())
    return digest.hexdigest()


def _raws(
    part: Mapping[str, np.ndarray], columns: Mapping[str, Column], where: str
) -> dict[str, Raw]:
    lengths: dict[str, np.ndarray] = {}
    found = {}
    for name, column in columns.items():
        array = part[name]
        none = np.zeros(0, np.int64)
        if not column.is_list:
            if array.ndim != 1 + len(column.shape):
                raise InputError(
                    f"{where}, column {name!r} has the shape {list(array.shape[1:])} a row; accepted: "
                    f"{list(column.shape)}"
                )
            values, nan = _values(array)
            holes = np.asarray(nan.any(axis=tuple(range(1, nan.ndim))))
            found[name] = Raw(values, None, holes, none)
            continue
        values, nan, lengths[name] = _lists(array, column, lengths.get(column.partner or ""), where)
        found[name] = Raw(values, lengths[name], np.zeros(len(array), bool), np.flatnonzero(nan))
    return found


def _lists(
    array: np.ndarray, column: Column, partner: np.ndarray | None, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values, which are NaN, and the lengths of the lists."""
    if array.ndim == 2:
        values, nan = _values(array)
        if partner is None:
            steps = np.arange(1, array.shape[1] + 1)
            lengths = ((values != column.padding) * steps).max(axis=1, initial=0)
        else:
            lengths = np.minimum(partner, array.shape[1])
        there = np.arange(array.shape[1]) < lengths[:, None]
        return values[there], nan[there], lengths.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind != "O":
        raise InputError(f"{where}, column {column.name!r} is {array.dtype}; accepted: lists")
    lengths = np.array([len(row) for row in array], np.int64)
    flat = [value for row in array for value in row]
    values, nan = _values(np.array(flat) if flat else np.zeros(0, _empty(column)))
    return values, nan, lengths


def _empty(column: Column) -> str:
    return "S1" if column.dtype == "string" else column.dtype


def _values(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values, strings as bytes, and which are NaN or None."""
    if array.dtype.kind in "OU":
        array = as_bytes(array.astype(object))
    if array.dtype.kind == "O":
        null = [v is None or (isinstance(v, float) and v != v) for v in array.ravel().tolist()]
        return array, np.array(null, bool).reshape(array.shape)
    if array.dtype.kind == "f":
        return array, np.isnan(array)
    return array, np.zeros(array.shape, bool)
