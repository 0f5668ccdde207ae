"""Arrow, which is imported where it is used, and files of Parquet."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tfnorm.errors import optional

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def pyarrow(part: str | None = None) -> ModuleType:
    """The module, or one of its parts.

    Raises:
        InputError: it isn't installed.
    """
    module = "pyarrow" if part is None else f"pyarrow.{part}"
    return optional(module, "reading Parquet, CSV or JSON", "logs")


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file; a page that is not what its checksum says is an error, where the writer put one there.

    Raises:
        InputError: pyarrow isn't installed.
        ArrowException: it is no Parquet file.
        OSError: it can't be opened.
    """
    parquet = pyarrow("parquet")
    file: pq.ParquetFile = parquet.ParquetFile(path, page_checksum_verification=True)
    return file
