"""Examples in a CSV file: a row each, with a column for each input."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.spread import Thinned, parts
from tfnorm.examples.table import LABELS, Inputs, Table, stacked

SUFFIXES = (".csv", ".csv.gz")
SEPARATOR = "|"
"""Of the values of a list in a cell, as `tfnorm.datasets.csv` has it."""

_Line = tuple[int, list[str]]


def read_csv(path: Path, inputs: Inputs | None, limit: int | None) -> Table:
    """The rows that are kept of a file whose first line names the columns: those that are inputs, or labels.

    Args:
        path: the file; one that ends in `.gz` is unpacked.
        inputs: what the scorer takes; None where it doesn't say. All columns are then taken, and become
            integers, numbers or text by what their cells hold.
        limit: how many examples to keep, evenly spread; None for all.

    Raises:
        InputError: no column is an input, a line has another number of cells, or a cell holds something else
            than the input.
    """
    with _opened(path) as file:
        columns, lines = _read(file, inputs)
        thinned: Thinned[_Line] = Thinned(limit)
        for line in lines:
            thinned.add(line)
    return Table(_table(thinned.rows(), columns, inputs), thinned.seen)


def csv_blocks(path: Path, inputs: Inputs | None, size: int) -> Iterator[dict[str, np.ndarray]]:
    """The rows, `size` at a time; arguments and errors are those of `read_csv`."""
    with _opened(path) as file:
        columns, lines = _read(file, inputs)
        for part in parts(lines, size):
            yield _table(part, columns, inputs)


def _opened(path: Path) -> TextIO:
    # Programs for tables put a mark at the beginning.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read(file: TextIO, inputs: Inputs | None) -> tuple[list[str | None], Iterator[_Line]]:
    """The name of each column, None for one that is not taken; and the lines that are not empty."""
    reader = csv.reader(file)
    names = next(reader, [])
    columns = [n if inputs is None or n in inputs or n == LABELS else None for n in names]
    if not any(columns):
        raise InputError(
            f"none of its columns is an input: {', '.join(map(repr, names))}; "
            f"accepted: {', '.join(map(repr, inputs or ()))}"
        )
    return columns, ((reader.line_num, cells) for cells in reader if cells)


def _table(
    lines: Sequence[_Line], columns: Sequence[str | None], inputs: Inputs | None
) -> dict[str, np.ndarray]:
    if not lines:
        raise InputError("it holds no examples")
    for number, cells in lines:
        if len(cells) != len(columns):
            raise InputError(f"line {number} has {len(cells)} cells; accepted: {len(columns)}")
    places = [f"line {number}" for number, _ in lines]
    return {
        name: _column(name, [cells[i] for _, cells in lines], places, (inputs or {}).get(name))
        for i, name in enumerate(columns)
        if name is not None
    }


def _column(
    name: str, cells: list[str], places: list[str], spec: tf.TensorSpec | None
) -> np.ndarray:
    if spec is not None and spec.shape.rank is not None and spec.shape.rank > 2:
        raise InputError(
            f"{name!r} takes {spec.shape.rank - 1} axes an example; a cell of CSV has one at most"
        )
    if spec is None or not spec.shape.rank or spec.shape.rank < 2:
        return _values(name, cells, places, spec)
    lists = [cell.split(SEPARATOR) if cell else [] for cell in cells]
    flat = [value for row in lists for value in row]
    of = [place for place, row in zip(places, lists, strict=True) for _ in row]
    ends = np.cumsum([len(row) for row in lists])
    rows = np.split(_values(name, flat, of, spec), ends[:-1])
    return stacked([{name: row} for row in rows], {name: spec}, places)[name]


def _values(
    name: str, cells: list[str], places: list[str], spec: tf.TensorSpec | None
) -> np.ndarray:
    if spec is None:
        for kind in (int, float):
            try:
                return np.array(list(map(kind, cells)))
            except ValueError:
                continue
        return np.array([cell.encode() for cell in cells], object)
    if spec.dtype == tf.string:
        return np.array([cell.encode() for cell in cells], object)
    read, accepted = _reader(spec.dtype)
    values = []
    for cell, place in zip(cells, places, strict=True):
        try:
            values.append(read(cell))
        except (ValueError, KeyError) as error:
            raise InputError(f"{place}: {name!r} has {cell!r}; accepted: {accepted}") from error
    dtype = np.float64 if spec.dtype.is_floating else None
    return np.array(values, dtype if values else spec.dtype.as_numpy_dtype)


def _reader(dtype: tf.DType) -> tuple[Callable[[str], object], str]:
    """What reads a cell, and what it accepts."""
    if dtype == tf.bool:
        words = {"true": True, "1": True, "false": False, "0": False}
        return lambda cell: words[cell.strip().lower()], "true or false, 1 or 0"
    return (int, "a whole number") if dtype.is_integer else (float, "a number")
