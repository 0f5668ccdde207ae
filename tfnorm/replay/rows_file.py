"""The rows that differ, as JSON lines for a debugger."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfnorm.errors import InputError
from tfnorm.replay.comparison.compare import Compared
from tfnorm.replay.comparison.fit import Fitted
from tfnorm.replay.comparison.outputs import Pair
from tfnorm.replay.log.call import Call


class RowsFile:
    """A file of JSON lines, one a row that differs.

    Each has `request` (the call's number), `key`, `version`, `row`, `difference`, `logged` and `new` (output
    name -> value) and `inputs` (input name -> value), as TensorFlow Serving's REST API writes values; what is
    no number is null.

    Args:
        path: where it is written.

    Raises:
        InputError: it can't be.
    """

    def __init__(self, path: Path):
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} can't be written: {error.strerror}") from error

    def write(
        self,
        call: Call,
        fitted: Fitted,
        new: Mapping[str, np.ndarray] | None,
        compared: Compared,
        pairs: Sequence[Pair],
    ) -> None:
        """Write the rows of a call that differ."""
        for row in np.flatnonzero(compared.different).tolist():
            line = {
                "request": call.number,
                "key": call.key,
                "version": call.spec.version,
                "row": row,
                "difference": _plain(compared.difference[row]),
                "logged": {p.logged: _of(call.outputs.get(p.logged), row) for p in pairs},
                "new": {p.logged: _of((new or {}).get(p.new), row) for p in pairs},
                "inputs": {
                    name: _of(array, row) if name in fitted.batched else _plain(array.tolist())
                    for name, array in fitted.feeds.items()
                },
            }
            self._file.write(json.dumps(line, allow_nan=False) + "\n")

    def __enter__(self) -> RowsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _of(array: np.ndarray | None, row: int) -> Any:
    """A row of an array; None of one that has not so many."""
    if array is None or not array.ndim or row >= len(array):
        return None
    return _plain(np.asarray(array[row]).tolist())


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
