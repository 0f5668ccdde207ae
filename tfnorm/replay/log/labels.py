"""Labels from a file of their own, joined by request and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.formats.json_lines import SUFFIXES as JSON
from tfnorm.files.arrow import open_parquet, pyarrow
from tfnorm.replay.log.call import Call
from tfnorm.replay.log.table import CSV, PARQUET

_COLUMNS = ("request", "row", "label")


class Labels:
    """The labels of a file, held in memory: some 24 bytes each.

    Args:
        path: a Parquet or CSV file, or JSON lines, with the columns `request` (what the log calls the
            call; its number, where the log has no name for it), `row` (in the request, from 0) and
            `label` (1 or 0).

    Raises:
        InputError: it can't be read, lacks a column, or has labels of one row that differ.
    """

    def __init__(self, path: Path):
        self.name = str(path)
        pa = pyarrow()
        try:
            table = _read(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} can't be read: {str(error).splitlines()[0]}") from error
        if missing := [name for name in _COLUMNS if name not in table.column_names]:
            raise InputError(
                f"{path} has no column {', '.join(map(repr, missing))}; accepted: a row for each label, "
                f"with the columns {', '.join(map(repr, _COLUMNS))}"
            )
        requests, rows, labels = (_array(table[name], name, path) for name in _COLUMNS)
        order = np.lexsort((rows, requests))
        self._requests, self._rows, self._labels = requests[order], rows[order], labels[order]
        same = (self._requests[1:] == self._requests[:-1]) & (self._rows[1:] == self._rows[:-1])
        twice = np.flatnonzero(same & (self._labels[1:] != self._labels[:-1]))
        if len(twice):
            key = self._requests[twice[0]]
            request = key.decode() if isinstance(key, bytes) else key
            raise InputError(
                f"{path}: row {self._rows[twice[0]]} of request {request} has two labels that differ; "
                "accepted: one for each row"
            )

    def of(self, call: Call, count: int) -> np.ndarray | None:
        """The labels of a call's rows; NaN for those that have none, None where no row has."""
        if call.key is None and call.file is not None:
            raise InputError(
                f"{self.name}: its requests have no names but their numbers, which a log of several files "
                "has more than once; accepted: a log that names its requests"
            )
        key: Any = call.number if call.key is None else call.key
        if self._requests.dtype.kind in "iu":
            if not str(key).lstrip("-").isdecimal():
                return None
            key = int(key)
        else:
            key = str(key).encode()
        start, end = (np.searchsorted(self._requests, key, side) for side in ("left", "right"))
        rows, labels = self._rows[start:end], self._labels[start:end]
        inside = (rows >= 0) & (rows < count)
        if not inside.any():
            return None
        found = np.full(count, np.nan)
        found[rows[inside]] = labels[inside]
        return found


def labels_in(given: str | Path) -> Labels | None:
    """The labels in a file; None of what is no file, but a name.

    Raises:
        InputError: it can't be read, or is called as a file is and does not exist.
    """
    path = Path(given)
    if path.is_file():
        return Labels(path)
    if len(path.parts) > 1 or path.name.endswith((*PARQUET, *CSV, *JSON)):
        raise InputError(
            f"labels is {str(given)!r}, a file that does not exist; accepted: a file, or the name that "
            "labels have in the log"
        )
    return None


def _read(path: Path) -> Any:
    if path.name.endswith(PARQUET):
        with open_parquet(path) as file:
            return file.read()
    if path.name.endswith(CSV):
        return pyarrow("csv").read_csv(path)
    return pyarrow("json").read_json(path)


def _array(column: Any, name: str, path: Path) -> np.ndarray:
    if column.null_count:
        raise InputError(f"{path}: column {name!r} has nulls; accepted: a value in each row")
    array: np.ndarray = column.to_numpy()
    if array.dtype == object and name == "request":
        return np.array([str(value).encode() for value in array], "S")
    if array.dtype.kind not in ("iu" if name != "label" else "biuf"):
        raise InputError(f"{path}: column {name!r} holds {column.type}; accepted: numbers")
    return array
