"""Logs in Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tfnorm.datasets.logs import arrow
from tfnorm.datasets.logs.files import Files, find, mark
from tfnorm.datasets.logs.log import Log
from tfnorm.datasets.logs.table import Block, Table, wanted
from tfnorm.errors import InputError
from tfnorm.files.arrow import open_parquet, pyarrow
from tfnorm.schema import Column, Schema

SUFFIXES = (".parquet", ".pq")


def parquet(files: Files, schema: Schema, *, nulls: str = "error") -> Log:
    """A click log in Parquet files.

    Each row group is a block that `Log.batches` shuffles; only some rows of a large one are in memory at a
    time. Columns may have narrower or wider types than the schema says, and may be dictionaries. A page that
    does not match its checksum is an error; where the writer has put none there, a flipped bit may go
    unnoticed.

    Args:
        files: a path, a folder, a pattern such as `train/*.parquet`, or a list of them.
        schema: the features that it holds.
        nulls: what is done with nulls and NaN; see `Log`.

    Returns:
        The log.

    Raises:
        InputError: there is no file, one is no Parquet file or has not all columns, or pyarrow isn't
            installed. What is wrong with a row is found when it is read.

    Example:

        schema = tfnorm.Schema.load("schema.json")
        log = tfnorm.datasets.parquet("train/*.parquet", schema)
        model.fit(log.batches(256, shuffle_seed=0))
    """
    columns = wanted(schema)
    blocks = [block for path in find(files, SUFFIXES) for block in _blocks(path, columns)]
    return Log(schema, tuple(blocks), nulls)


def _blocks(path: Path, columns: Mapping[str, Column]) -> list[Block]:
    pa = pyarrow()
    try:
        with open_parquet(path) as file:
            names = file.schema_arrow.names
            groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} can't be read: {_reason(error)}") from error
    arrow.check_columns(names, columns, str(path))
    marked = mark(path)
    return [
        Block(
            f"{path}, row group {n}",
            rows,
            f"{marked} {n} {rows}",
            lambda n=n: _read(path, n, columns),  # type: ignore[misc]
        )
        for n, rows in enumerate(groups)
    ]


def _read(path: Path, group: int, columns: Mapping[str, Column]) -> Iterator[Table]:
    pa = pyarrow()
    where, row = f"{path}, row group {group}", 0
    try:
        with open_parquet(path) as file:
            batches = file.iter_batches(
                arrow.ROWS, row_groups=[group], columns=list(columns), use_threads=False
            )
            for batch in batches:
                yield arrow.table(batch, columns, where, row)
                row += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{where}, after row {row} can't be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]
