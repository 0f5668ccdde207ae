"""Arrow's columns as NumPy's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfnorm.datasets.logs.table import Raw, Table
from tfnorm.errors import InputError
from tfnorm.files.arrow import pyarrow
from tfnorm.schema import Column
from tfnorm.schema.rows import as_bytes

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 4096
"""Rows of a table that is read at once."""

_WIDEST = 64


def table(
    batch: pa.RecordBatch | pa.Table, columns: Mapping[str, Column], where: str, first_row: int
) -> Table:
    """A record batch that has the columns.

    Raises:
        InputError: a column has no type that can be read, or a list where one value belongs.
    """
    found = {
        name: _raw(batch.column(name), column, where, first_row) for name, column in columns.items()
    }
    return Table(found, where, first_row)


def is_string(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's many for strings and bytes."""
    types = pyarrow().types
    return any(
        check(kind)
        for check in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
            types.is_fixed_size_binary,
        )
    )


def is_whole_decimal(kind: pa.DataType) -> bool:
    """Whether a type is of decimals without a fraction, as warehouses write integers."""
    return bool(pyarrow().types.is_decimal(kind)) and kind.scale == 0


def check_columns(names: list[str], columns: Collection[str], where: str) -> None:
    """Raise InputError unless each column is there once."""
    if missing := [name for name in columns if name not in names]:
        raise InputError(
            f"{where} has no column {', '.join(map(repr, missing))}; "
            f"it has {', '.join(map(repr, names)) or 'none'}"
        )
    if several := [name for name in columns if names.count(name) > 1]:
        raise InputError(f"{where} has several columns {several[0]!r}; accepted: one of that name")


def _raw(array: pa.Array | pa.ChunkedArray, column: Column, file: str, first_row: int) -> Raw:
    pa, where = pyarrow(), f"{file}, row {first_row}"
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # Of no chunk.
        array = pa.array([], array.type)
    is_list = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
    is_list = is_list or pa.types.is_fixed_size_list(array.type)
    if is_list != bool(column.shape):
        raise InputError(
            f"{where}, column {column.name!r} holds {array.type}; accepted: "
            f"{'lists' if column.shape else 'one value a row'}"
        )
    if not is_list:
        values, null = _values(array, where, column)
        return Raw(values, None, null, np.zeros(0, np.int64))
    null = _numpy(array.is_null())
    lengths = _numpy(pyarrow("compute").list_value_length(array).fill_null(0)).astype(np.int64)
    values, null_values = _values(array.flatten(), where, column)
    if column.is_list:
        return Raw(values, lengths, null, np.flatnonzero(null_values))
    return _vectors(column, values, lengths, null, null_values, file, first_row)


def _vectors(
    column: Column,
    values: np.ndarray,
    lengths: np.ndarray,
    null: np.ndarray,
    null_values: np.ndarray,
    file: str,
    first_row: int,
) -> Raw:
    (length,) = column.shape
    wrong = np.flatnonzero((lengths != length) & ~null)
    if len(wrong):
        raise InputError(
            f"{file}, row {first_row + wrong[0]}, column {column.name!r} has "
            f"{lengths[wrong[0]]} numbers; accepted: {length}"
        )
    assert length is not None
    found = np.zeros((len(null), length), values.dtype)
    holes = np.zeros((len(null), length), bool)
    found[~null] = values.reshape(-1, length)
    holes[~null] = null_values.reshape(-1, length)
    return Raw(found, None, null | holes.any(axis=1), np.zeros(0, np.int64))


def _values(array: pa.Array, where: str, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """The values, and which of them are null or NaN."""
    pa = pyarrow()
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    null = _numpy(array.is_null())
    if pa.types.is_null(kind):
        return np.zeros(len(array), "S1" if column.dtype == "string" else np.int64), null
    if pa.types.is_timestamp(kind):
        micros = array.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        return _numpy(micros.fill_null(0)) / 1e6, null
    if pa.types.is_date(kind):
        return _numpy(array.cast(pa.timestamp("s")).cast(pa.int64()).fill_null(0)), null
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        zero = pa.scalar(0).cast(kind) if not pa.types.is_boolean(kind) else pa.scalar(False)
        values = _numpy(array.fill_null(zero))
        if values.dtype.kind == "f":
            null = null | np.isnan(values)
        return values, null
    if is_whole_decimal(kind):
        return _numpy(array.cast(pa.int64()).fill_null(0)), null
    if pa.types.is_decimal(kind):
        return _numpy(array.cast(pa.float64()).fill_null(0.0)), null
    if is_string(kind):
        return _strings(array), null
    raise InputError(
        f"{where}, column {column.name!r} holds {kind}; accepted: integers, numbers, strings, and lists "
        "of them"
    )


def _strings(array: pa.Array) -> np.ndarray:
    """Bytes of a fixed width, made without a Python object for each."""
    pa = pyarrow()
    array = array.cast(pa.large_binary()).fill_null(b"")
    offsets, data = array.buffers()[1:]
    ends = np.frombuffer(offsets, np.int64, len(array) + 1, 8 * array.offset)
    lengths = np.diff(ends)
    widest = int(lengths.max(initial=1))
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    if widest > _WIDEST:
        return as_bytes(np.array(array.to_pylist(), object))
    steps = np.arange(max(1, widest))
    there: np.ndarray = steps < lengths[:, None]
    result: np.ndarray = np.zeros(there.shape, np.uint8)
    result[there] = content[(ends[:-1, None] + steps)[there]]
    if (result[there.any(axis=1), lengths[there.any(axis=1)] - 1] == 0).any():
        return as_bytes(np.array(array.to_pylist(), object))  # A zero byte at a string's end.
    fixed: np.ndarray = result.view(f"S{result.shape[1]}").reshape(-1)
    return fixed


def _numpy(array: pa.Array) -> np.ndarray:
    result: np.ndarray = array.to_numpy(zero_copy_only=False)
    return result
