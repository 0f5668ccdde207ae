"""Files of examples, read in bounded memory: of millions of rows, some evenly spread are kept."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.json_lines import read_json
from tfnorm.examples.npz import read_npz
from tfnorm.examples.parquet import MAGIC, SUFFIXES, read_parquet
from tfnorm.examples.records import read_records
from tfnorm.examples.table import Inputs, Table

ACCEPTED = (
    "an .npz file of arrays, JSON lines, a Parquet file, or a TFRecord of tf.Example or of TensorFlow "
    "Serving's PredictionLog"
)

_GZIP = b"\x1f\x8b"


def read_file(
    path: Path, inputs: Inputs | None, limit: int | None, fed: frozenset[str] = frozenset()
) -> Table:
    """Read a file of examples.

    Args:
        path: `.npz`; `.json`, `.jsonl` or `.ndjson`; `.parquet` or `.pq`; any other is told by how it
            begins.
        inputs: what the scorer takes; None where it doesn't say.
        limit: how many examples to keep, evenly spread; None for all.
        fed: the inputs that are the same in every batch, which a logged request may have as well.

    Raises:
        InputError: it can't be read, or does not fit.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give {ACCEPTED}")
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        if path.suffix == ".npz" or start[:2] == b"PK":
            return read_npz(path, limit)
        if path.suffix in SUFFIXES or start == MAGIC:
            return read_parquet(path, inputs, limit)
        if path.suffix in (".json", ".jsonl", ".ndjson") or start[:1] in (b"{", b"["):
            return read_json(path, inputs, limit, fed)
        return read_records(path, "GZIP" if start[:2] == _GZIP else "", inputs, limit, fed)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (
        ValueError,
        OSError,
        EOFError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
        tf.errors.DataLossError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} can't be read as {ACCEPTED}: {reason}") from error
