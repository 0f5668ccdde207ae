"""A log in a table, Parquet or CSV: a row each example, with columns of features and of scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.table import Inputs, as_tensor, numbers, stacked
from tfnorm.files.arrow import open_parquet, pyarrow
from tfnorm.replay.log.call import Call, Passed

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET, CSV = (".parquet", ".pq"), (".csv", ".csv.gz")
REQUEST = "request"
"""The column that says which request a row was part of, where no other is named."""
SEPARATOR = "|"
"""Between the numbers of a list in a cell of CSV."""

_TOGETHER = 256
_USUAL = ("score", "scores", "prediction", "predictions")


class TableLog:
    """The calls of a table: the rows of one request, which follow each other.

    Without a column that tells the requests apart, rows are scored 256 at a time.

    Args:
        path: the file.
        inputs: what the model takes; None where it doesn't say.
        is_parquet: whether it is Parquet; CSV else.
        labels: the column that labels are in.
        score: the column of scores; None for those that go by an output's name, or are called so.
        request: the column that is the same in the rows of a request; None for `REQUEST`, if there is one.

    Raises:
        InputError: pyarrow isn't installed, the file can't be read, or it has no such column.
    """

    def __init__(
        self,
        path: Path,
        inputs: Inputs | None,
        *,
        is_parquet: bool,
        labels: str,
        score: str | None,
        request: str | None,
    ):
        self.name = str(path)
        self._path = path
        self._inputs = inputs
        self._is_parquet = is_parquet
        self._labels = labels
        names = self._names()
        for option, named in (("score", score), ("request", request)):
            if named is not None and named not in names:
                raise InputError(
                    f"{path} has no column {named!r}, which {option} names; it has {_listed(names)}"
                )
        others = [name for name in names if name not in (inputs or {})]
        self._request = request or (REQUEST if REQUEST in others else None)
        self.batches_known = self._request is not None
        self._scores = [score] if score is not None else self._score_columns(others)
        self.scores_known = score is not None or set(self._scores) <= set(_USUAL)
        given = set(names) if inputs is None else set(inputs)
        wanted = {*given, labels, *self._scores, self._request}
        self._columns = [name for name in names if name in wanted]

    def entries(self) -> Iterator[tuple[int, tuple[int, pa.Table]]]:
        """The rows of a request, with the number of the first."""
        pa = pyarrow()
        number, first, held = 0, 0, None
        for batch in self._batches():
            rows = pa.Table.from_batches([batch])
            held = rows if held is None else pa.concat_tables([held, rows])
            ends = self._ends(held)
            for start, end in zip([0, *ends], ends, strict=False):
                yield number, (first + start, held.slice(start, end - start))
                number += 1
            done = ends[-1] if ends else 0
            first, held = first + done, held.slice(done)
        if held is not None and len(held):
            yield number, (first, held)

    def call(self, number: int, entry: tuple[int, pa.Table]) -> Call | Passed:
        first, rows = entry
        try:
            found = {name: self._array(rows[name], name, first) for name in self._columns}
            scores = {name: array for name in self._scores if (array := found[name]) is not None}
            for name in () if scores else self._scores:
                _refuse_null(rows[name], name, first)
        except (ValueError, TypeError) as error:
            where = (
                ""
                if str(error).startswith("row ")
                else f"rows {first} to {first + len(rows) - 1}: "
            )
            raise InputError(f"{self.name}: {where}{error}") from error
        features = {
            name: array
            for name, array in found.items()
            if array is not None
            and (name in self._inputs if self._inputs is not None else self._is_feature(name))
        }
        if not scores:
            return Passed(number, "a row without a score that is a number")
        key = None if self._request is None else str(rows[self._request][0].as_py())
        labels, typed = found.get(self._labels), self._is_parquet
        return Call(number, features, scores, labels=labels, key=key, typed=typed)

    def _score_columns(self, others: list[str]) -> list[str]:
        """The columns that may be scores: those of the usual names, or all that are nothing else."""
        left = [name for name in others if name not in (self._labels, self._request)]
        usual = [name for name in left if name in _USUAL]
        if self._inputs is None and not usual:
            raise InputError(
                f"{self.name}: which of its columns are scores is not known: {_listed(left)}; "
                "name one by score (--score)"
            )
        found = usual or left
        if not found:
            raise InputError(
                f"{self.name} has no column of scores beside its features; name one by score (--score)"
            )
        return found

    def _is_feature(self, name: str) -> bool:
        return name not in (self._labels, self._request, *self._scores)

    def _names(self) -> list[str]:
        with self._reading("its columns"):
            if self._is_parquet:
                with open_parquet(self._path) as file:
                    names: list[str] = file.schema_arrow.names
            else:
                with pyarrow("csv").open_csv(self._path) as reader:
                    names = reader.schema.names
        return names

    def _batches(self) -> Iterator[Any]:
        row = 0
        with self._reading("the rows after row {row}", lambda: row):
            if self._is_parquet:
                with open_parquet(self._path) as file:
                    for batch in file.iter_batches(4096, columns=self._columns, use_threads=False):
                        yield batch
                        row += len(batch)
                return
            pa, csv = pyarrow(), pyarrow("csv")
            text = {
                name: pa.string()
                for name, spec in (self._inputs or {}).items()
                if spec.dtype == tf.string or _is_list(spec)
            }
            options = csv.ConvertOptions(include_columns=self._columns, column_types=text)
            with csv.open_csv(self._path, convert_options=options) as reader:
                for batch in reader:
                    yield batch
                    row += len(batch)

    def _reading(self, what: str, row: Any = None) -> _Reading:
        return _Reading(self.name, what, row)

    def _ends(self, rows: pa.Table) -> list[int]:
        """Where requests end that are all there."""
        if self._request is None:
            return list(range(_TOGETHER, len(rows) + 1, _TOGETHER))
        keys = rows[self._request].combine_chunks()
        changes = pyarrow("compute").not_equal(keys[1:], keys[:-1]).fill_null(True)
        return list(np.flatnonzero(changes.to_numpy(zero_copy_only=False)) + 1)

    def _array(self, column: Any, name: str, first: int) -> np.ndarray | None:
        """The values of a column; None of one that is no input, and holds no numbers or not one a row.

        Labels are NaN where there are none.
        """
        pa = pyarrow()
        types, kind = pa.types, column.type
        spec = (self._inputs or {}).get(name)
        if name in self._scores and len(self._scores) > 1 and column.null_count:
            # It may be no score at all.
            return None
        if name != self._labels or spec is not None:
            _refuse_null(column, name, first)
        if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
            array: np.ndarray = (column.cast("float64") if column.null_count else column).to_numpy()
            return numbers(array, spec)
        values = column.to_pylist()
        if types.is_string(kind) and spec is not None and _is_list(spec):
            number = float if spec.dtype.is_floating else int if spec.dtype.is_integer else str
            values = [[number(one) for one in text.split(SEPARATOR) if one] for text in values]
        elif not (spec is not None or types.is_list(kind) or types.is_fixed_size_list(kind)):
            return None
        if self._request == name:
            return None
        rows = [{name: as_tensor(value, spec)} for value in values]
        places = [f"row {first + place}" for place in range(len(rows))]
        return stacked(rows, self._inputs, places)[name]


class _Reading:
    """While it lasts, what is wrong with the file is told with its name."""

    def __init__(self, name: str, what: str, row: Any):
        self._name, self._what, self._row = name, what, row

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        pa = pyarrow()
        if isinstance(error, pa.ArrowException | OSError) and not isinstance(error, InputError):
            what = self._what.format(row=self._row() if self._row else 0)
            reason = str(error).splitlines()[0]
            raise InputError(f"{self._name}: {what} can't be read: {reason}") from error


def _refuse_null(column: Any, name: str, first: int) -> None:
    if column.null_count:
        row = first + int(np.argmax(column.is_null().to_numpy()))
        raise InputError(f"row {row}: {name!r} is null; accepted: a value in each row")


def _is_list(spec: tf.TensorSpec) -> bool:
    return bool(spec.shape.rank == 2)


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))
