"""Logs in text: CSV and JSON lines."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from csv import Error as CsvError
from csv import reader as csv_rows
from pathlib import Path
from typing import Any

from tfnorm.datasets.logs import arrow
from tfnorm.datasets.logs.files import Files, find, mark
from tfnorm.datasets.logs.log import Log
from tfnorm.datasets.logs.table import Block, Table, wanted
from tfnorm.errors import InputError
from tfnorm.files.arrow import pyarrow
from tfnorm.schema import Column, Schema

CSV_SUFFIXES = (".csv", ".csv.gz")
JSON_SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
SEPARATOR = "|"
"""What stands between the values of a list in a CSV."""


def csv(files: Files, schema: Schema, *, nulls: str = "error", separator: str = SEPARATOR) -> Log:
    """A click log in CSV files whose first line names the columns.

    A cell with a list has its values separated by `separator`; an empty one is the empty list. An
    empty cell of a number, an integer or a vector is null, and so is an empty value of a list of them. Files
    that end in `.gz` are unpacked.

    Args:
        files: a path, a folder, a pattern such as `train/*.csv`, or a list of them.
        schema: the features that it holds.
        nulls: what is done with nulls; see `Log`.
        separator: what stands between the values of a list.

    Returns:
        The log.

    Raises:
        InputError: there is no file, or pyarrow isn't installed. What is wrong with a file is found
            when it is read.

    Example:

        log = tfnorm.datasets.csv("train/*.csv", schema)
    """
    columns = wanted(schema)
    return _log(
        files, CSV_SUFFIXES, schema, nulls, lambda path: _read_csv(path, columns, separator)
    )


def jsonl(files: Files, schema: Schema, *, nulls: str = "error") -> Log:
    """A click log in files of JSON lines, with an object for each row.

    Args:
        files: a path, a folder, a pattern such as `train/*.jsonl`, or a list of them; `.gz` is
            unpacked.
        schema: the features that it holds.
        nulls: what is done with nulls; see `Log`. A key that isn't there is null.

    Returns:
        The log.

    Raises:
        InputError: there is no file, or pyarrow isn't installed. What is wrong with a file is found
            when it is read.

    Example:

        log = tfnorm.datasets.jsonl("train/*.jsonl", schema)
    """
    columns = wanted(schema)
    return _log(files, JSON_SUFFIXES, schema, nulls, lambda path: _read_json(path, columns))


def _log(
    files: Files,
    suffixes: tuple[str, ...],
    schema: Schema,
    nulls: str,
    read: Callable[[Path], Iterator[Table]],
) -> Log:
    pyarrow()
    blocks = [
        Block(str(path), None, mark(path), lambda path=path: read(path))  # type: ignore[misc]
        for path in find(files, suffixes)
    ]
    return Log(schema, tuple(blocks), nulls)


def _open(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _read_csv(path: Path, columns: Mapping[str, Column], separator: str) -> Iterator[Table]:
    pa, csv = pyarrow(), pyarrow("csv")

    row = 0
    try:
        with _open(path) as file:
            lines = csv_rows(io.TextIOWrapper(file, "utf-8-sig", newline=""))
            names, first = next(lines, []), next(lines, [])
        arrow.check_columns(names, columns, str(path))
        cells = dict(zip(names, first, strict=False))
        with _open(path) as file:
            reader = csv.open_csv(
                file,
                read_options=csv.ReadOptions(use_threads=False),
                convert_options=csv.ConvertOptions(
                    column_types={
                        name: pa.string() if column.shape else kind
                        for name, column in columns.items()
                        if (kind := _arrow_type(column, _told(cells.get(name)))) is not None
                    },
                    include_columns=list(columns),
                ),
            )
            for batch in reader:
                for start in range(0, len(batch), arrow.ROWS):
                    part = batch.slice(start, arrow.ROWS)
                    arrays = [
                        _split(part.column(name), column, separator, str(path), row)
                        for name, column in columns.items()
                    ]
                    part = pa.RecordBatch.from_arrays(arrays, list(columns))
                    yield arrow.table(part, columns, str(path), row)
                    row += len(part)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, CsvError) as error:
        raise InputError(f"{path}, after row {row} can't be read: {error}") from error


def _split(cells: Any, column: Column, separator: str, file: str, first_row: int) -> Any:
    """A column of lists of one of cells."""
    pa, compute = pyarrow(), pyarrow("compute")
    if not column.shape:
        return cells
    lists = compute.split_pattern(cells, separator)
    if column.dtype != "string":
        values = compute.if_else(compute.equal(lists.values, ""), None, lists.values)
        lists = pa.ListArray.from_arrays(lists.offsets, values)
    none = pa.scalar([] if column.is_list else None, lists.type)
    lists = compute.if_else(compute.equal(cells, ""), none, lists)
    kind = pa.list_(_arrow_type(column))
    try:
        return lists.cast(kind)
    except pa.ArrowInvalid as error:
        row = first_row + next(n for n in range(len(lists)) if not _can_cast(lists[n], kind))
        raise InputError(
            f"{file}, row {row}, column {column.name!r}: {error}; accepted: values separated by "
            f"{separator!r}"
        ) from error


def _can_cast(value: Any, kind: Any) -> bool:
    try:
        value.cast(kind)
    except pyarrow().ArrowInvalid:
        return False
    return True


def _told(cell: str | None) -> bool | None:
    """The boolean that a cell holds, if it does."""
    return {"true": True, "false": False}.get((cell or "").lower())


def _arrow_type(column: Column, value: object = None) -> Any:
    """The type to read a column as whose values are like this one; None to let Arrow find it."""
    pa = pyarrow()
    if isinstance(value, bool) and column.dtype == "float32":
        return pa.bool_()
    if isinstance(value, int) and column.dtype == "string":
        return pa.int64()
    types = {
        "int32": pa.int64(),
        "int64": pa.int64(),
        "string": pa.string(),
        "float32": pa.float64(),
    }
    return types.get(column.dtype)


def _read_json(path: Path, columns: Mapping[str, Column]) -> Iterator[Table]:
    pa, arrow_json = pyarrow(), pyarrow("json")

    row = 0
    try:
        with _open(path) as file:
            while lines := list(itertools.islice(file, arrow.ROWS)):
                lines = [line for line in lines if line.strip()]
                if not lines:
                    continue
                types = _json_types(lines, columns)
                fields = [
                    pa.field(name, pa.list_(kind) if columns[name].shape else kind)
                    for name, kind in types.items()
                ]
                options = arrow_json.ParseOptions(
                    explicit_schema=pa.schema(fields), unexpected_field_behavior="infer"
                )
                text = b"".join(line.rstrip(b"\n") + b"\n" for line in lines)
                # A block must hold a whole line, however long.
                read = arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
                try:
                    found = arrow_json.read_json(io.BytesIO(text), read, options)
                except pa.ArrowInvalid as error:
                    raise InputError(
                        f"{path}, row {row + _first_bad(lines, columns, types)} can't be read: {error}"
                    ) from error
                arrow.check_columns(found.column_names, columns, f"{path}, from row {row}")
                yield arrow.table(found, columns, str(path), row)
                row += len(lines)
    except (OSError, EOFError) as error:
        raise InputError(f"{path}, after row {row} can't be read: {error}") from error


def _json_types(lines: list[bytes], columns: Mapping[str, Column]) -> dict[str, Any]:
    """The type to read each column as, by the first value that it has: an id may be 7 or "7"."""
    first: dict[str, Any] = {}
    for line in lines:
        if len(first) == len(columns):
            break
        try:
            form = json.loads(line)
        except ValueError:
            break
        for name in columns.keys() - first.keys() if isinstance(form, dict) else ():
            value = form.get(name)
            values = value if isinstance(value, list) else [value]
            if found := [v for v in values if v is not None]:
                first[name] = found[0]
    types = {name: _arrow_type(column, first.get(name)) for name, column in columns.items()}
    return {name: kind for name, kind in types.items() if kind is not None}


def _first_bad(lines: list[bytes], columns: Mapping[str, Column], types: Mapping[str, Any]) -> int:
    """The first line that isn't an object whose values have their types; the last if none is found."""
    pa = pyarrow()
    kinds: dict[Any, tuple[type, ...]] = {
        pa.int64(): (int,),
        pa.string(): (str,),
        pa.float64(): (int, float),
        pa.bool_(): (bool,),
    }
    for number, line in enumerate(lines):
        try:
            form = json.loads(line)
        except ValueError:
            return number
        if not isinstance(form, dict):
            return number
        for name, kind in types.items():
            value = form.get(name)
            if value is None:
                continue
            if isinstance(value, list) != bool(columns[name].shape):
                return number
            if not all(
                v is None
                or (isinstance(v, kinds[kind]) and isinstance(v, bool) == (kind == pa.bool_()))
                for v in (value if isinstance(value, list) else [value])
            ):
                return number
    return len(lines) - 1
