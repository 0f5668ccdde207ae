"""How much memory a request may make the server take."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import STRING_BYTES, array_bytes

PARSED = 4
"""How many times the bound a message or a document may take once it is parsed."""


def check_feeds(feeds: Mapping[str, np.ndarray], most: int) -> None:
    """Raise InputError where all inputs together have over `most` bytes."""
    total = sum(map(held, feeds.values()))
    if total > most:
        raise InputError(
            f"the inputs have {total:,} bytes as tensors; accepted: up to {most:,} bytes"
        )


def check_expected(
    feeds: Mapping[str, np.ndarray], outputs: Mapping[str, tf.TensorSpec], most: int
) -> None:
    """Raise where the signature says that these rows give outputs of over `most` bytes.

    Raises:
        tf.errors.ResourceExhaustedError: they do.
    """
    rows = max((array.shape[0] for array in feeds.values() if array.ndim), default=1)
    expected = 0
    for spec in outputs.values():
        if spec.shape.rank:
            first, *others = spec.shape.as_list()
            known = [rows if first is None else first, *(size or 1 for size in others)]
            expected += array_bytes(known, spec.dtype)
    if expected > most:
        raise too_large(f"{rows:,} rows give outputs of {expected:,} bytes or more", most)


def check_outputs(outputs: Mapping[str, np.ndarray], most: int) -> None:
    """Raise where all outputs together have over `most` bytes.

    Raises:
        tf.errors.ResourceExhaustedError: they have.
    """
    total = sum(map(held, outputs.values()))
    if total > most:
        raise too_large(f"the outputs have {total:,} bytes", most)


def too_large(what: str, most: int) -> tf.errors.ResourceExhaustedError:
    """The error of an answer that is over the bound on a request's memory."""
    return tf.errors.ResourceExhaustedError(
        None, None, f"{what}; at most {most:,} are sent: ask for fewer rows in a request"
    )


def held(array: np.ndarray) -> int:
    """The bytes of an array as a tensor."""
    if array.dtype == object:
        return array.size * STRING_BYTES + sum(map(len, array.flat))
    return array.nbytes
