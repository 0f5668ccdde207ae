"""Examples in a Parquet file: a row each, with a column for each input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.spread import spread
from tfnorm.examples.table import LABELS, Inputs, Row, Table, as_tensor, stacked

if TYPE_CHECKING:
    import pyarrow as pa

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
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            "reading Parquet needs the package pyarrow: pip install 'tfnorm[logs]'"
        ) from error
    try:
        with pq.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
            count = file.metadata.num_rows
            names = file.schema_arrow.names
            columns = [n for n in names if inputs is None or n in inputs or n == LABELS]
            chosen = spread(count, limit)
            rows: list[Row] = []
            start = 0
            for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                inside = chosen[(chosen >= start) & (chosen < start + len(batch))]
                rows += _rows(batch.take(pa.array(inside - start)), inputs, inside)
                start += len(batch)
    except pa.ArrowException as error:
        raise InputError(f"it can't be read as Parquet: {str(error).splitlines()[0]}") from error
    if count and not columns:
        raise InputError(
            f"none of its columns is an input: {', '.join(map(repr, names))}; "
            f"accepted: {', '.join(map(repr, inputs or ()))}"
        )
    return Table(stacked(rows, inputs, [f"row {number}" for number in chosen]), count)


def _rows(batch: pa.RecordBatch, inputs: Inputs | None, numbers: np.ndarray) -> list[Row]:
    columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
    rows: list[Row] = []
    for place, number in enumerate(numbers):
        row = {}
        for name, values in columns.items():
            try:
                row[name] = as_tensor(values[place], (inputs or {}).get(name))
            except (ValueError, TypeError) as error:
                raise InputError(f"row {number}: {name!r} is no tensor: {error}") from error
        rows.append(row)
    return rows
