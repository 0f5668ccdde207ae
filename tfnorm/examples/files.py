"""Files of examples, read in bounded memory: of millions of rows, some evenly spread, or all in parts."""

from __future__ import annotations

import csv
import glob
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.formats.csv import SUFFIXES as CSV_SUFFIXES
from tfnorm.examples.formats.csv import csv_blocks, read_csv
from tfnorm.examples.formats.json_lines import SUFFIXES as JSON
from tfnorm.examples.formats.json_lines import begins_json, json_blocks, read_json
from tfnorm.examples.formats.npz import npz_blocks, read_npz
from tfnorm.examples.formats.parquet import MAGIC, SUFFIXES, parquet_blocks, read_parquet
from tfnorm.examples.formats.records import read_records, record_blocks
from tfnorm.examples.table import Inputs, Table
from tfnorm.files.tf_records import START, compression_of

ACCEPTED = (
    "an .npz file of arrays, JSON lines, a Parquet or CSV file, or a TFRecord of tf.Example or of TensorFlow "
    "Serving's PredictionLog"
)

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9]+://?")

# Of one that holds something, and of one that holds nothing.
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def is_address(place: str | Path) -> bool:
    """Whether it is like `s3://bucket/day`, which as a path has lost a slash, and no path that there is."""
    return _ADDRESS.match(str(place)) is not None and not Path(place).exists()


def found(place: str | Path) -> list[Path]:
    """The files of a path: itself, those that a folder holds, or those that a pattern fits.

    Names that begin with `.` or `_` are left out in folders: engines write marks by such names. A link to
    nothing counts as a file, so that what is missing is told where it is read.

    Raises:
        InputError: a folder holds none, a pattern fits none, or it is an address.
    """
    path = Path(place)
    if is_address(place):
        raise InputError(f"{place} is an address; accepted: a path, such as where it is mounted")
    if path.is_dir():
        below = (p for p in sorted(path.rglob("*")) if not p.is_dir())
        files = [p for p in below if all(x[0] not in "._" for x in p.relative_to(path).parts)]
    elif _is_pattern(path):
        # A whole path may be a pattern.
        fitting = glob.glob(str(place), recursive=True)  # noqa: PTH207
        files = [p for p in map(Path, sorted(fitting)) if not p.is_dir()]
    else:
        return [path]
    if not files:
        raise InputError(f"{place} has no files; accepted: a file, a folder of files, or a pattern")
    return files


def _is_pattern(path: Path) -> bool:
    return any(sign in str(path) for sign in "*?[") and not path.exists()


def read_file(
    path: Path,
    inputs: Inputs | None,
    limit: int | None,
    fed: frozenset[str] = frozenset(),
    places: Mapping[str, str] = MappingProxyType({}),
    signature: str | None = None,
) -> Table:
    """Read a file of examples.

    Args:
        path: `.npz`; `.json`, `.jsonl` or `.ndjson`; `.parquet` or `.pq`; `.csv` or `.csv.gz`; any other is
            told by how it begins.
        inputs: what the scorer takes; None where it doesn't say.
        limit: how many examples to keep, evenly spread; None for all.
        fed: the inputs that are the same in every batch, which a logged request may have as well.
        places: where inputs stand that are in dicts of dicts: path -> name.
        signature: that is scored; of a log, requests that asked another one are skipped, if any asked this.

    Raises:
        InputError: it can't be read, or does not fit.
    """
    with _explained(path):
        match _format(path):
            case "npz":
                return read_npz(path, limit)
            case "parquet":
                return read_parquet(path, inputs, limit)
            case "csv":
                return read_csv(path, inputs, limit)
            case "json":
                return read_json(path, inputs, limit, fed, places, signature)
            case compression:
                return read_records(path, compression, inputs, limit, fed, signature)


def file_blocks(
    path: Path,
    inputs: Inputs | None,
    size: int,
    fed: frozenset[str] = frozenset(),
    places: Mapping[str, str] = MappingProxyType({}),
    signature: str | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Read all of a file of examples, `size` at a time; the last part has what is left.

    Of lists whose length is free, a part's are padded to its own longest. The other arguments and errors
    are those of `read_file`.
    """
    with _explained(path):
        match _format(path):
            case "npz":
                yield from npz_blocks(path, size)
            case "parquet":
                yield from parquet_blocks(path, inputs, size)
            case "csv":
                yield from csv_blocks(path, inputs, size)
            case "json":
                yield from json_blocks(path, inputs, size, fed, places, signature)
            case compression:
                yield from record_blocks(path, compression, inputs, size, fed, signature)


def _format(path: Path) -> str:
    """What a file is, by its name or how it begins; of a TFRecord, its compression."""
    with path.open("rb") as file:
        start = file.read(START)
    if path.suffix == ".npz" or start[:4] in _ZIP:
        return "npz"
    if path.suffix in SUFFIXES or start[:4] == MAGIC:
        return "parquet"
    if path.name.endswith(CSV_SUFFIXES):
        return "csv"
    if path.suffix in JSON or begins_json(start):
        return "json"
    return compression_of(start)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise InputError that names the file where it is not there, damaged or does not fit."""
    if path.is_dir() or _is_pattern(path):
        raise InputError(f"{path} stands for several files; accepted: one of them, {ACCEPTED}")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give {ACCEPTED}")
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (
        ValueError,
        OSError,
        EOFError,
        AttributeError,
        csv.Error,
        zipfile.BadZipFile,
        zlib.error,
        tf.errors.DataLossError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} can't be read as {ACCEPTED}: {reason}") from error
