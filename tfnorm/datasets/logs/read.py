"""Logs in files of any kind, told by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfnorm.datasets.logs.files import Files, find
from tfnorm.datasets.logs.log import Log
from tfnorm.datasets.logs.parquet import SUFFIXES as PARQUET
from tfnorm.datasets.logs.parquet import parquet
from tfnorm.datasets.logs.text import CSV_SUFFIXES, JSON_SUFFIXES, csv, jsonl
from tfnorm.datasets.logs.tf_records import SUFFIXES as TFRECORD
from tfnorm.datasets.logs.tf_records import tfrecord
from tfnorm.errors import InputError
from tfnorm.schema import Schema

_READERS: dict[tuple[str, ...], Callable[..., Log]] = {
    PARQUET: parquet,
    TFRECORD: tfrecord,
    CSV_SUFFIXES: csv,
    JSON_SUFFIXES: jsonl,
}
SUFFIXES = tuple(suffix for suffixes in _READERS for suffix in suffixes)
"""What the names of files end in that can be read."""


def read(files: Files, schema: Schema, *, nulls: str = "error") -> Log:
    """A click log in files of one kind: Parquet, TFRecord of `tf.Example`, CSV or JSON lines.

    Args:
        files: a path, a folder, a pattern such as `train/*.parquet`, or a list of them.
        schema: the features that it holds.
        nulls: what is done with nulls and NaN; see `Log`.

    Returns:
        The log.

    Raises:
        InputError: there is no file, they are of no known kind or of several, or one can't be read.

    Example:

        log = tfnorm.datasets.read("train/*.parquet", tfnorm.Schema.load("schema.json"))
    """
    found = find(files, SUFFIXES)
    kinds = {kind_of(path) for path in found}
    if len(kinds) > 1:
        raise InputError(
            f"{', '.join(map(str, found[:3]))} ... are of several kinds; accepted: files that all end in "
            f"{', or all in '.join(' or '.join(kind) for kind in sorted(kinds))}"
        )
    return _READERS[kinds.pop()](found, schema, nulls=nulls)


def kind_of(path: Path) -> tuple[str, ...]:
    """The endings of the names of files of its kind.

    Raises:
        InputError: it is of no known kind.
    """
    kind = next((suffixes for suffixes in _READERS if path.name.endswith(suffixes)), None)
    if kind is None:
        raise InputError(
            f"{path} is of no known kind; accepted: files that end in {', '.join(SUFFIXES)}"
        )
    return kind
