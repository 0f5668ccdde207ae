"""Logs in TFRecord files of `tf.Example`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from google.protobuf.message import DecodeError

from tfnorm.datasets.logs.files import Files, find, mark
from tfnorm.datasets.logs.log import Log
from tfnorm.datasets.logs.table import Block, Raw, Table, wanted
from tfnorm.errors import InputError
from tfnorm.files.tf_records import record_batches
from tfnorm.schema import Column, Schema
from tfnorm.schema.rows import as_bytes

if TYPE_CHECKING:
    import tensorflow as tf

SUFFIXES = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz")
_ROWS = 1024


def tfrecord(files: Files, schema: Schema, *, nulls: str = "error") -> Log:
    """A click log in TFRecord files, with a `tf.Example` for each row.

    A feature that a record leaves out, or has without a value, is null, or the empty list if it is a list.
    Files that end in `.gz` are unpacked.

    Args:
        files: a path, a folder, a pattern such as `train/*.tfrecord`, or a list of them.
        schema: the features that it holds.
        nulls: what is done with nulls and NaN; see `Log`.

    Returns:
        The log.

    Raises:
        InputError: there is no file. What is wrong with a file is found when it is read.

    Example:

        log = tfnorm.datasets.tfrecord("train/*.tfrecord", schema)
    """
    columns = wanted(schema)
    blocks = [
        Block(str(path), None, mark(path), lambda path=path: _read(path, columns))  # type: ignore[misc]
        for path in find(files, SUFFIXES)
    ]
    return Log(schema, tuple(blocks), nulls)


def _read(path: Path, columns: Mapping[str, Column]) -> Iterator[Table]:
    import tensorflow as tf

    row, spec = 0, None
    for batch in record_batches(path, _ROWS):
        spec = spec or _spec(batch[0], columns, f"{path}, row {row}")
        try:
            parsed = tf.io.parse_example(batch, spec)
        # TensorFlow quotes a record that is no tf.Example, and fails where that is no text.
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
            raise _refusal(path, row, batch, spec, error) from error
        yield Table(
            {
                name: _raw(parsed[name], column, f"{path}, row", row)
                for name, column in columns.items()
            },
            str(path),
            row,
        )
        row += len(batch)


def _spec(
    record: bytes, columns: Mapping[str, Column], where: str
) -> dict[str, tf.io.RaggedFeature]:
    """How the values are held, which the first record tells."""
    import tensorflow as tf

    features = _features(record, where)
    kinds = {"int64_list": tf.int64, "float_list": tf.float32, "bytes_list": tf.string}
    found = {}
    for name, column in columns.items():
        held = kinds.get(features[name].WhichOneof("kind") or "")
        default = tf.int64 if column.dtype.startswith("int") else column.dtype
        if held is None:
            held = tf.string if column.dtype == "any" else tf.as_dtype(default)
        found[name] = tf.io.RaggedFeature(held)
    return found


def _features(record: bytes, where: str) -> Mapping[str, tf.train.Feature]:
    import tensorflow as tf

    try:
        return cast(
            "Mapping[str, tf.train.Feature]", tf.train.Example.FromString(record).features.feature
        )
    except DecodeError as error:
        raise InputError(f"{where} is no tf.Example") from error


def _refusal(
    path: Path,
    row: int,
    batch: list[bytes],
    spec: dict[str, tf.io.RaggedFeature],
    error: tf.errors.InvalidArgumentError | UnicodeDecodeError,
) -> InputError:
    """The error of the first record that can't be parsed."""
    import tensorflow as tf

    for number, record in enumerate(batch, start=row):
        _features(record, f"{path}, row {number}")
        try:
            tf.io.parse_example([record], spec)
        except tf.errors.InvalidArgumentError as own:
            row, error = number, own
            break
    reason = str(error).partition(" [Op:")[0].splitlines()[0]
    return InputError(f"{path}, row {row} can't be read: {reason}")


def _raw(found: tf.RaggedTensor, column: Column, where: str, first_row: int) -> Raw:
    values, lengths = found.values.numpy(), found.row_lengths().numpy()
    values = as_bytes(values) if values.dtype == object else values
    none = np.zeros(0, np.int64)
    nan = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if column.is_list:
        return Raw(values, lengths, np.zeros(len(lengths), bool), np.flatnonzero(nan))
    size = column.shape[0] or 1 if column.shape else 1
    if len(wrong := np.flatnonzero((lengths != size) & (lengths != 0))):
        raise InputError(
            f"{where} {first_row + wrong[0]}, column {column.name!r} has {lengths[wrong[0]]} values; "
            f"accepted: {size}"
        )
    null = lengths == 0
    dense = np.zeros((len(lengths), size), values.dtype)
    holes = np.zeros((len(lengths), size), bool)
    if values.dtype.kind == "O":
        dense[...] = b""
    dense[~null] = values.reshape(-1, size)
    holes[~null] = nan.reshape(-1, size)
    shaped = dense.reshape(len(lengths), *(n for n in column.shape if n))
    return Raw(shaped, None, null | holes.any(axis=1), none)
