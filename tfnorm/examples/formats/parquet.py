"""Examples in a Parquet file: a row each, with a column for each input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.spread import spread
from tfnorm.examples.table import LABELS, Inputs, Row, Table, as_tensor, numbers, stacked
from tfnorm.files.arrow import open_parquet, pyarrow

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".pq")
MAGIC = b"PAR1"

_ROWS = 1024


def read_parquet(path: Path, inputs: Inputs | None, limit: int | None) -> Table:
    """The rows that are kept of a file, with the columns that are inputs, or labels.

    Args:
        path: the file.
        inputs: what the scorer takes; None where it doesn't say, which takes all columns.
        limit: how many examples to keep, evenly spread; None for all.

    Raises:
        InputError: pyarrow isn't installed, the file is damaged, or a value is null or no tensor.
    """
    with _opened(path) as file:
        import pyarrow as pa

        count = file.metadata.num_rows
        chosen = spread(count, limit)
        rows: list[Row] = []
        start = 0
        for batch in _batches(file, inputs, _ROWS):
            inside = chosen[(chosen >= start) & (chosen < start + len(batch))]
            rows += _rows(batch.take(pa.array(inside - start)), inputs, inside)
            start += len(batch)
    return Table(stacked(rows, inputs, [f"row {number}" for number in chosen]), count)


def parquet_blocks(path: Path, inputs: Inputs | None, size: int) -> Iterator[dict[str, np.ndarray]]:
    """The rows, `size` at a time; arguments and errors are those of `read_parquet`."""
    with _opened(path) as file:
        start = 0
        for batch in _batches(file, inputs, size):
            plain = {
                name: _plain(batch.column(name), (inputs or {}).get(name))
                for name in batch.schema.names
            }
            others = [name for name, array in plain.items() if array is None]
            made = {}
            if others:
                places = range(start, start + len(batch))
                rows = _rows(batch.select(others), inputs, places)
                made = stacked(rows, inputs, [f"row {number}" for number in places])
            yield made | {name: array for name, array in plain.items() if array is not None}
            start += len(batch)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    pa = pyarrow()
    try:
        with open_parquet(path) as file:
            yield file
    except pa.ArrowException as error:
        raise InputError(f"it can't be read as Parquet: {str(error).splitlines()[0]}") from error


def _batches(file: pq.ParquetFile, inputs: Inputs | None, size: int) -> Iterator[pa.RecordBatch]:
    """The columns that are inputs, or labels."""
    names = file.schema_arrow.names
    columns = [n for n in names if inputs is None or n in inputs or n == LABELS]
    if file.metadata.num_rows and not columns:
        raise InputError(
            f"none of its columns is an input: {', '.join(map(repr, names))}; "
            f"accepted: {', '.join(map(repr, inputs or ()))}"
        )
    yield from file.iter_batches(size, columns=columns, use_threads=False)  # type: ignore[no-untyped-call]


def _plain(column: pa.Array, spec: tf.TensorSpec | None) -> np.ndarray | None:
    """A column of numbers, or of lists of as many each, without a Python object for each; else None."""
    from pyarrow import compute, types

    shape = [len(column)]
    if types.is_list(column.type) or types.is_fixed_size_list(column.type):
        lengths = compute.min_max(compute.list_value_length(column)).as_py()  # type: ignore[attr-defined]
        if column.null_count or lengths["min"] != lengths["max"]:
            return None
        shape.append(lengths["max"] or 0)
        column = column.flatten()
    kind = column.type
    is_plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    if column.null_count or not is_plain:
        return None
    return numbers(column.to_numpy(zero_copy_only=False).reshape(shape), spec)


def _rows(batch: pa.RecordBatch, inputs: Inputs | None, numbered: Iterable[int]) -> list[Row]:
    columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
    rows: list[Row] = []
    for place, number in enumerate(numbered):
        row = {}
        for name, values in columns.items():
            try:
                row[name] = as_tensor(values[place], (inputs or {}).get(name))
            except (ValueError, TypeError) as error:
                raise InputError(f"row {number}: {name!r} is no tensor: {error}") from error
        rows.append(row)
    return rows
