"""Rows of a log as arrays for a model, checked against the schema."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfnorm.errors import InputError
from tfnorm.schema.columns import Column

Refuse = Callable[[str, int, str], InputError]

_WIDEST = 64
"""Bytes: strings of a column with a longer one are kept as objects, not all as wide as that one."""

_NUMBERS = (int, float, np.integer, np.floating, np.bool_)


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a column, one row after the other.

    Attributes:
        values: all of them.
        lengths: int64 `[N]`, how many each row has; None where it has one, or one vector.
    """

    values: np.ndarray
    lengths: np.ndarray | None = None

    def row_of(self, index: int) -> int:
        """The row that has the value at `index`."""
        if self.lengths is None:
            return index
        return int(np.searchsorted(np.cumsum(self.lengths), index, side="right"))


def as_columns(
    columns: Mapping[str, Column], rows: Sequence[Mapping[str, object]]
) -> dict[str, Values]:
    """The columns of rows as Python has them.

    Raises:
        InputError: a row lacks a column, or has a list where one value belongs, or the reverse.
    """
    for number, row in enumerate(rows):
        if missing := [name for name in columns if name not in row]:
            raise InputError(
                f"examples, row {number} has no {', '.join(map(repr, missing))}; "
                f"accepted: {', '.join(map(repr, columns))}"
            )
    return {name: _of_rows(column, [row[name] for row in rows]) for name, column in columns.items()}


def _of_rows(column: Column, given: list[Any]) -> Values:
    lists = [isinstance(value, (list, tuple, np.ndarray)) for value in given]
    for row, found in enumerate(lists):
        if found != bool(column.shape):
            raise InputError(
                f"examples, row {row}, column {column.name!r} is {given[row]!r}; accepted: "
                f"{'a list' if column.shape else 'one value'}"
            )
        if column.shape and not column.is_list and np.shape(given[row]) != column.shape:
            raise InputError(
                f"examples, row {row}, column {column.name!r} is {given[row]!r}; accepted: "
                f"a list of {column.shape[0]}"
            )
    if column.shape and not column.is_list:
        return Values(np.array(given, object).reshape(len(given), *column.shape))
    if not column.is_list:
        return Values(_array(given, column))
    flat = [value for row in given for value in row]
    return Values(_array(flat, column), np.array([len(row) for row in given], np.int64))


def _array(values: list[Any], column: Column) -> np.ndarray:
    if column.dtype == "string" and values and all(map(_is_whole, values)):
        return np.array(values)
    # Of objects, so that a value of another type is there to be shown.
    array = np.fromiter(values, object, len(values))
    return as_bytes(array) if column.dtype == "string" else array


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer))


def as_bytes(strings: np.ndarray) -> np.ndarray:
    """Strings as UTF-8, in a fixed width where it is small."""
    encoded = [s.encode() if isinstance(s, str) else s for s in strings.ravel().tolist()]
    if all(isinstance(s, bytes) and len(s) <= _WIDEST and s[-1:] != b"\0" for s in encoded):
        return np.array(encoded, "S").reshape(strings.shape)
    result = np.empty(len(encoded), object)
    result[:] = encoded
    return result.reshape(strings.shape)


def fitted(
    columns: Mapping[str, Column],
    found: Mapping[str, Values],
    where: str,
    numbers: Sequence[int] | np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The inputs of a model: checked, cut, padded and cast.

    Args:
        columns: of the schema.
        found: what a log has of each.
        where: what the rows are of, for messages.
        numbers: of the rows, for messages; None to count from 0.

    Raises:
        InputError: a value isn't as the schema says; the message names row and column.
    """

    def refuse(name: str, row: int, what: str) -> InputError:
        number = row if numbers is None else numbers[row]
        return InputError(f"{where}, row {number}, column {name!r} {what}")

    inputs = {}
    for name, column in columns.items():
        values = _cast(column, found[name], refuse)
        _check_range(column, values, refuse)
        if column.partner is not None:
            _check_partner(column, values, found[column.partner], refuse)
        elif column.limit is not None:
            _check_no_padding(column, values, refuse)
        inputs[name] = _padded(column, values) if column.is_list else values.values
    _with_one_step(columns, inputs)
    return inputs


def _cast(column: Column, given: Values, refuse: Refuse) -> Values:
    if column.dtype == "string":
        return _cast_strings(column, given, refuse)
    wanted = np.dtype(column.dtype)
    values, accepted = given.values, "numbers" if wanted.kind == "f" else "whole numbers"
    if values.dtype.kind == "O":
        values = _numbers(column, given, accepted, refuse)
    if values.dtype.kind not in ("biuf" if wanted.kind == "f" else "iu"):
        if values.size:
            raise refuse(column.name, 0, f"holds {_kind(values)}; accepted: {accepted}")
        values = values.astype(wanted)
    return (_cast_floats if wanted.kind == "f" else _cast_integers)(
        column, Values(values, given.lengths), refuse
    )


def _numbers(column: Column, given: Values, accepted: str, refuse: Refuse) -> np.ndarray:
    """The numbers of an array of objects."""
    whole = column.dtype.startswith("int")
    greatest = 2**63 - 1 if whole else sys.float_info.max
    least = -(2**63) if whole else -greatest
    values = given.values
    for index, value in enumerate(values.ravel().tolist()):
        row = given.row_of(index * len(values) // values.size)
        if not (_is_whole(value) if whole else isinstance(value, _NUMBERS)):
            raise refuse(column.name, row, f"is {value!r}; accepted: {accepted}")
        if not least <= value <= greatest:
            raise refuse(column.name, row, f"is {value}; accepted: {_fitting(column)}")
    return values.astype(np.int64 if whole else np.float64)


def _fitting(column: Column) -> str:
    whole = column.dtype.startswith("int")
    return f"what fits into {column.dtype}" if whole else f"finite {column.dtype} numbers"


def _cast_strings(column: Column, given: Values, refuse: Refuse) -> Values:
    values = given.values
    if values.dtype.kind in "iu":
        return Values(values.astype("S"), given.lengths)
    wrong = [] if values.dtype.kind == "S" else _no_bytes(values)
    if wrong:
        shown = values[wrong[0]]
        raise refuse(
            column.name, given.row_of(wrong[0]), f"is {shown!r}; accepted: strings or integers"
        )
    return given


def _cast_floats(column: Column, given: Values, refuse: Refuse) -> Values:
    values = given.values
    shape = () if column.is_list else column.shape
    if values.shape[1:] != shape:
        raise refuse(
            column.name, 0, f"has {list(values.shape[1:])} numbers; accepted: {list(shape)} a row"
        )
    with np.errstate(over="ignore"):
        cast = values.astype(column.dtype)
    finite = np.isfinite(cast).all(axis=tuple(range(1, cast.ndim)))
    if len(bad := np.flatnonzero(~finite)):
        row = given.row_of(int(bad[0]))
        raise refuse(column.name, row, f"is {values[bad[0]]}; accepted: {_fitting(column)}")
    return Values(cast, given.lengths)


def _cast_integers(column: Column, given: Values, refuse: Refuse) -> Values:
    values, limits = given.values, np.iinfo(column.dtype)
    if len(bad := np.flatnonzero((values < limits.min) | (values > limits.max))):
        row = given.row_of(int(bad[0]))
        raise refuse(column.name, row, f"is {values[bad[0]]}; accepted: {_fitting(column)}")
    return Values(values.astype(column.dtype), given.lengths)


def _no_bytes(values: np.ndarray) -> list[int]:
    return [i for i, value in enumerate(values.tolist()) if not isinstance(value, bytes)]


def _kind(values: np.ndarray) -> str:
    return "strings" if values.dtype.kind in "SU" else values.dtype.name


def _check_range(column: Column, values: Values, refuse: Refuse) -> None:
    if column.size is None:
        return
    bad = np.flatnonzero((values.values < 0) | (values.values >= column.size))
    if len(bad):
        row = values.row_of(int(bad[0]))
        raise refuse(
            column.name, row, f"is {values.values[bad[0]]}; accepted: ids in [0, {column.size})"
        )


def _check_partner(column: Column, values: Values, partner: Values, refuse: Refuse) -> None:
    assert values.lengths is not None and partner.lengths is not None
    bad = np.flatnonzero(values.lengths != partner.lengths)
    if len(bad):
        row = int(bad[0])
        raise refuse(
            column.name,
            row,
            f"has {values.lengths[row]} values where {column.partner!r} has {partner.lengths[row]}; "
            "accepted: as many",
        )


def _check_no_padding(column: Column, values: Values, refuse: Refuse) -> None:
    """The id that means padding would end a history, or leave a hole in it."""
    bad = np.flatnonzero(values.values == column.padding)
    if len(bad):
        shown = "the empty string" if column.dtype == "string" else "0"
        other = "" if column.dtype == "string" else ', or the feature as "hashed"'
        raise refuse(
            column.name,
            values.row_of(int(bad[0])),
            f"has {shown} in a history, which is its padding; accepted: other ids{other}",
        )


def _padded(column: Column, given: Values) -> np.ndarray:
    """`[N, T]`, T the length of the longest list, at most the limit."""
    assert given.lengths is not None
    lengths, values = given.lengths, given.values
    starts = np.cumsum(lengths) - lengths
    kept = lengths
    if column.limit is not None:
        kept = np.minimum(lengths, column.limit)
        if column.keep == "newest":
            starts = starts + lengths - kept
    steps = np.arange(kept.max(initial=0))
    there = steps < kept[:, None]
    dtype = values.dtype if column.dtype == "string" else np.dtype(column.dtype)
    result = np.zeros(there.shape, dtype)
    if dtype.kind == "O":
        result[...] = b""
    result[there] = values[(starts[:, None] + steps)[there]]
    return result


def _with_one_step(columns: Mapping[str, Column], inputs: dict[str, np.ndarray]) -> None:
    """No list is empty in all rows: a model is given one step of padding at least."""
    for name, column in columns.items():
        if column.is_list and inputs[name].shape[1] == 0:
            inputs[name] = column.empty(len(inputs[name]), 1)
