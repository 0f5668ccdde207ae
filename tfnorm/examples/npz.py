"""Examples in an `.npz` file of arrays."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

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
                array, rows = _read_array(file, limit)
            arrays[member.removesuffix(".npy")] = array
            given = max(given, rows)
    return Table(arrays, given)


def _read_array(file: IO[bytes], limit: int | None) -> tuple[np.ndarray, int]:
    """The rows that are kept of one array, and how many it has."""
    version = np.lib.format.read_magic(file)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise ValueError(f"array format {version} is not known")
    shape, in_columns, dtype = headers[version](file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are not read")
    count = shape[0] if shape else 0
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    if not shape or in_columns or not row_bytes:
        whole = _exactly(file, math.prod(shape) * dtype.itemsize)
        array = np.frombuffer(whole, dtype, math.prod(shape))
        array = array.reshape(shape, order="F" if in_columns else "C")
        return (array[spread(count, limit)] if shape else array), count
    chosen = spread(count, limit)
    kept = np.empty((len(chosen), *shape[1:]), dtype)
    block = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, count, block):
        size = min(block, count - start)
        rows = np.frombuffer(_exactly(file, size * row_bytes), dtype).reshape(size, *shape[1:])
        inside = (chosen >= start) & (chosen < start + size)
        kept[inside] = rows[chosen[inside] - start]
    return kept, count


def _exactly(file: IO[bytes], count: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise ValueError("it ends too early")
    return content
