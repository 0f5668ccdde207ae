"""The records of a TFRecord, of which a damaged one is told by its number."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tfnorm.errors import InputError

START = 8
"""Bytes at the beginning of a file that tell what it is."""

_GZIP = b"\x1f\x8b\x08"


def compression_of(start: bytes) -> str:
    """How a TFRecord that begins so is packed, as `tf.data.TFRecordDataset` has it.

    An unpacked one begins with its first record's length, whose bytes may be any.
    """
    return "GZIP" if start[:3] == _GZIP else ""


def tf_records(path: Path, compression: str) -> Iterator[bytes]:
    """The records, in order.

    Args:
        path: the file.
        compression: as `tf.data.TFRecordDataset` has it.

    Raises:
        InputError: a record is damaged; those before it have been given.
    """
    import tensorflow as tf

    from tfnorm import _tensorflow

    given = 0
    try:
        for record in _tensorflow.tf_records(path, compression):
            yield record
            given += 1
    except tf.errors.OpError as error:
        reason = str(error.message).split("' failed with")[0]
        raise InputError(f"record {given} is damaged: {reason}") from error


def record_batches(path: Path, size: int) -> Iterator[list[bytes]]:
    """The records, `size` at a time; the last part has what is left.

    Raises:
        InputError: as `tf_records`; the message names the file.
    """
    try:
        with path.open("rb") as file:
            records = tf_records(path, compression_of(file.read(START)))
        while batch := list(islice(records, size)):
            yield batch
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
