"""A part of a log as its file has it, what becomes of what is null in it, and its rows as examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfnorm.datasets.click_log import Examples
from tfnorm.errors import InputError
from tfnorm.schema import Column, Schema
from tfnorm.schema.rows import Values, fitted

NULLS = ("error", "missing", "drop")


@dataclass(frozen=True, eq=False)
class Raw:
    """A column of a part.

    Attributes:
        values: its values; what stands for those that are null does not matter.
        lengths: how many each row has; None where it is one, or one vector.
        null_rows: bool `[N]`, the rows that have none.
        null_values: the indices into `values` of those that are null.
    """

    values: np.ndarray
    lengths: np.ndarray | None
    null_rows: np.ndarray
    null_values: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a log that follow each other.

    Attributes:
        columns: by name.
        where: the file, for messages.
        first_row: the number of the first.
    """

    columns: Mapping[str, Raw]
    where: str
    first_row: int

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).null_rows)


@dataclass(frozen=True, eq=False)
class Block:
    """What is read in one go: a row group, or a file.

    Attributes:
        where: its name, for messages.
        rows: how many rows it has; None where only reading tells.
        mark: what tells it from another.
        read: called with nothing, gives its tables.
    """

    where: str
    rows: int | None
    mark: str
    read: Callable[[], Iterator[Table]]


def wanted(schema: Schema) -> dict[str, Column]:
    """All columns that are read, those of label, weight, group and time too."""
    columns = dict(schema.columns)
    for role, dtype in (
        (schema.label, "float32"),
        (schema.weight, "float32"),
        (schema.group, "any"),
        (schema.time, "any"),
    ):
        if role is not None and role not in columns:
            columns[role] = Column(role, dtype, role)
    return columns


def filled(table: Table, schema: Schema, nulls: str) -> tuple[dict[str, Values], np.ndarray]:
    """The values with what `nulls` says in the place of those that are null, and which rows stay.

    A label, a weight, a group or a time can't be missing, nor can an id that tells where a history ends.

    Raises:
        InputError: a value is null, where that is an error.
    """
    kept = np.ones(len(table), bool)
    found = {}
    for name, column in wanted(schema).items():
        raw = table.columns[name]
        values = Values(raw.values, raw.lengths)
        holes = np.zeros(len(table), bool)
        holes[[values.row_of(int(i)) for i in raw.null_values]] = True
        null = raw.null_rows | holes
        needed = null
        if name in schema.columns:
            needed = holes & (column.limit is not None and column.partner is None)
        refused = null if nulls == "error" else needed
        if nulls != "drop" and refused.any():
            row = int(refused.argmax())
            raise _refusal(table, name, row, can_be_missing=not needed[row])
        if nulls == "drop":
            kept &= ~null
        found[name] = _filled(raw, column)
    return found, kept


def _filled(raw: Raw, column: Column) -> Values:
    if not raw.null_rows.any() and not len(raw.null_values):
        return Values(raw.values, raw.lengths)
    values = raw.values.copy()
    if values.dtype.kind not in "SOU" and column.dtype == "string":
        # An integer's digits could not be nothing.
        values = values.astype("S")
    padding = {"S": b"", "O": column.padding}.get(values.dtype.kind, 0)
    if raw.lengths is None:
        values[raw.null_rows] = padding
    values[raw.null_values] = padding
    return Values(values, raw.lengths)


def taken(found: Mapping[str, Values], rows: np.ndarray) -> dict[str, Values]:
    """Those rows alone."""
    return {
        name: Values(
            values.values[rows if values.lengths is None else np.repeat(rows, values.lengths)],
            None if values.lengths is None else values.lengths[rows],
        )
        for name, values in found.items()
    }


def in_time(
    found: Mapping[str, Values], name: str, since: float | None, until: float | None, where: str
) -> np.ndarray:
    """Which rows are from `since` on and before `until`, by the column of that name.

    Raises:
        InputError: it holds no times.
    """
    times = found[name].values
    kept = np.ones(len(times), bool)
    if since is None and until is None:
        return kept
    if times.dtype.kind not in "iuf":
        raise InputError(
            f"{where}, column {name!r} holds {times.dtype}; accepted: numbers or dates"
        )
    if since is not None:
        kept &= times >= since
    if until is not None:
        kept &= times < until
    return kept


def as_examples(
    found: Mapping[str, Values], schema: Schema, where: str, rows: np.ndarray
) -> Examples:
    """The values as the schema says.

    Args:
        found: by column.
        schema: of the log.
        where: the file, for messages.
        rows: the numbers of the rows in it.

    Raises:
        InputError: a value isn't as the schema says.
    """
    features = fitted(schema.columns, found, where, rows)
    others = {name: wanted(schema)[name] for name in (schema.label, schema.weight) if name}
    numbers = fitted(others, found, where, rows)
    labels = numbers[schema.label]
    for name, found_numbers in numbers.items():
        most, accepted = (1, "from 0 to 1") if name == schema.label else (np.inf, "0 or more")
        if len(bad := np.flatnonzero((found_numbers < 0) | (found_numbers > most))):
            raise InputError(
                f"{where}, row {rows[bad[0]]}, column {name!r} is {found_numbers[bad[0]]}; "
                f"accepted: {accepted}"
            )
    return Examples(
        features,
        labels,
        None if schema.group is None else found[schema.group].values,
        None if schema.weight is None else numbers[schema.weight],
    )


def _refusal(table: Table, name: str, row: int, *, can_be_missing: bool) -> InputError:
    accepted = 'a value; nulls="drop" (--nulls drop) to leave the row out'
    if can_be_missing:
        accepted += ', nulls="missing" (--nulls missing) to take it as missing'
    return InputError(
        f"{table.where}, row {table.first_row + row}, column {name!r} is null; accepted: {accepted}"
    )
