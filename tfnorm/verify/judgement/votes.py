"""Which examples tell apart a drift from chance: those that round by themselves.

Rounding moves a score up or down as if by chance, but alike where what is computed is alike: a request that
is repeated moves the same way each time, and so do the items of one user if it is the user's part of the
score that was rounded otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_FLAG = 16
"""Whole numbers below it are flags or categories: few as their values are, examples differ besides."""

_ROWS = 64


def labels_of(array: np.ndarray) -> np.ndarray:
    """A number for each row of `[rows, ...]`, the same for rows that are the same."""
    if array.ndim == 1 and array.dtype.kind in "biuf":
        return np.unique(array, return_inverse=True)[1]
    # Rows may be long, and there may be many: what is kept of each is a number.
    numbers: dict[int, int] = {}
    flat = array.reshape(len(array), -1)
    keys = (hash(tuple(row) if array.dtype == object else row.tobytes()) for row in flat)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], int)


def shared_parts(examples: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The labels of each input, but for flags and categories of few values."""
    return [labels_of(array) for array in examples.values() if not _is_flag(array)]


def fewest(labels: Sequence[np.ndarray]) -> np.ndarray:
    """The labels that are fewest: as many examples round by themselves."""
    return min(labels, key=lambda numbers: len(np.unique(numbers)))


def _is_flag(array: np.ndarray) -> bool:
    if array.dtype.kind not in "biufV":
        return False
    # Of examples that are pictures, the first few tell.
    return all(_are_small(array[start : start + _ROWS]) for start in range(0, len(array), _ROWS))


def _are_small(array: np.ndarray) -> bool:
    numbers = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return bool(((numbers == np.floor(numbers)) & (np.abs(numbers) < _FLAG)).all())
