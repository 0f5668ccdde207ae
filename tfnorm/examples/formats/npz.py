"""Examples in an `.npz` file of arrays."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.spread import spread
from tfnorm.examples.table import Table

_BLOCK_BYTES = 1 << 24


def read_npz(path: Path, limit: int | None) -> Table:
    """The rows that are kept of each array.

    Raises:
        ValueError: it is damaged, or holds what is no array.
    """
    given = 0
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                array = _Array(file)
                arrays[member.removesuffix(".npy")] = array.some(limit)
            given = max(given, array.count)
    return Table(arrays, given)


def npz_blocks(path: Path, size: int) -> Iterator[dict[str, np.ndarray]]:
    """The rows of all arrays side by side, `size` at a time.

    An array whose rows don't lie one after the other (Fortran's order) is held in memory.

    Raises:
        InputError: the arrays have different numbers of rows.
        ValueError: it is damaged, or holds what is no array.
    """
    with zipfile.ZipFile(path) as archive, ExitStack() as opened:
        arrays = {
            member.removesuffix(".npy"): _Array(opened.enter_context(archive.open(member)))
            for member in archive.namelist()
        }
        counts = {name: array.count for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{name!r} {count}" for name, count in counts.items())
            raise InputError(f"the arrays have different numbers of examples: {found}")
        for start in range(0, max(counts.values(), default=0), size):
            yield {name: array.rows(start, size) for name, array in arrays.items()}


class _Array:
    """An array in a file that is read from its beginning to its end.

    Attributes:
        count: how many rows it has; 0 for a scalar.
    """

    def __init__(self, file: IO[bytes]):
        version = np.lib.format.read_magic(file)
        headers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in headers:
            raise ValueError(f"array format {version} is not known")
        self._file = file
        self._shape, self._in_columns, self._dtype = headers[version](file)
        if self._dtype.hasobject:
            raise ValueError("it holds pickled objects, which are not read")
        self.count: int = self._shape[0] if self._shape else 0
        self._row_bytes = math.prod(self._shape[1:]) * self._dtype.itemsize
        self._whole: np.ndarray | None = None
        if not self._shape or self._in_columns or not self._row_bytes:
            content = self._exactly(math.prod(self._shape) * self._dtype.itemsize)
            array = np.frombuffer(content, self._dtype, math.prod(self._shape))
            self._whole = array.reshape(self._shape, order="F" if self._in_columns else "C")

    def rows(self, start: int, size: int) -> np.ndarray:
        """The next rows, up to `size`; `start` is the number of the first."""
        size = min(size, self.count - start)
        if self._whole is not None:
            return self._whole[start : start + size]
        content = self._exactly(size * self._row_bytes)
        return np.frombuffer(content, self._dtype).reshape(size, *self._shape[1:])

    def some(self, limit: int | None) -> np.ndarray:
        """The rows that are kept; a scalar whole."""
        chosen = spread(self.count, limit)
        if self._whole is not None:
            return self._whole[chosen] if self._shape else self._whole
        kept = np.empty((len(chosen), *self._shape[1:]), self._dtype)
        block = max(1, _BLOCK_BYTES // self._row_bytes)
        for start in range(0, self.count, block):
            inside = (chosen >= start) & (chosen < start + block)
            kept[inside] = self.rows(start, block)[chosen[inside] - start]
        return kept

    def _exactly(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) != count:
            raise ValueError("it ends too early")
        return content
