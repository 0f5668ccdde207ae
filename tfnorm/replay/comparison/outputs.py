"""Which output of a model a logged one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfnorm.differences import is_floating
from tfnorm.errors import InputError

_CLASSES = "scores"
"""What the probabilities of a classification are called; the last class is the positive one of two."""


@dataclass(frozen=True)
class Pair:
    """A logged output, and the model's that belongs to it."""

    logged: str
    new: str

    def __str__(self) -> str:
        return (
            self.logged if self.logged == self.new else f"{self.logged} ({self.new} of the model)"
        )


def paired(logged: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray]) -> list[Pair]:
    """The outputs that belong together: by their names, and single ones whatever their names.

    Raises:
        InputError: none do.
    """
    same = [Pair(name, name) for name in new if name in logged]
    if same:
        return same
    numbers = [name for name, array in logged.items() if array.dtype.kind in "biufV"]
    for names, others in ((list(logged), list(new)), (numbers, list(new))):
        if len(names) == len(others) == 1:
            return [Pair(names[0], others[0])]
    raise InputError(
        f"the log has {_listed(logged)} and the model gives {_listed(new)}: which of them belong together "
        "is not known; name the outputs alike, or, of a table, the column by score"
    )


def alike(logged: np.ndarray, new: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray] | str:
    """The two as `[rows, values]` of one type, or why they can't be compared."""
    for whose, array in (("the answer", logged), ("the model's output", new)):
        if not array.ndim or len(array) != count:
            return f"{whose} has the shape {list(array.shape)} for {count} rows"
    if not count:
        return logged.reshape(0, 1), new.reshape(0, 1)
    logged, new = logged.reshape(count, -1), new.reshape(count, -1)
    if {logged.shape[1], new.shape[1]} == {1, 2}:
        # A score, and the probabilities of both classes.
        logged, new = logged[:, -1:], new[:, -1:]
    if logged.shape != new.shape:
        return f"a row of the answer has {logged.shape[1]} values, of the model's output {new.shape[1]}"
    numbers = [array.dtype.kind in "biufcV" for array in (logged, new)]
    if numbers[0] != numbers[1]:
        return "one of the answer and the model's output is a string"
    if is_floating(logged) and is_floating(new) and logged.dtype != new.dtype:
        coarser = min((logged.dtype, new.dtype), key=lambda dtype: dtype.itemsize)
        with np.errstate(over="ignore"):
            return logged.astype(coarser), new.astype(coarser)
    return logged, new


def ranking_column(name: str, values: np.ndarray) -> np.ndarray | None:
    """The number of each row by which the rows are ranked; None where it has none."""
    if values.dtype.kind not in "iufV" or not is_floating(values):
        return None
    if values.shape[1] == 1 or (values.shape[1] == 2 and name == _CLASSES):
        return values[:, -1].astype(np.float64)
    return None


def _listed(outputs: Mapping[str, np.ndarray]) -> str:
    return ", ".join(map(repr, sorted(outputs)))
