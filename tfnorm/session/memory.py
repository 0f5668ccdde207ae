"""The values of variables where they are in memory, as a large table has no room for a copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from tfnorm._tensorflow import variable_handles

_LARGE = 1 << 24
"""From how many bytes on a copy of a variable is too many."""

_PART = 1 << 21
"""How many bytes are looked at at a time."""


def in_place(variable: tf.Variable) -> np.ndarray:
    """What a variable holds: its own memory, to be read alone, or a copy of what NumPy has no dtype for.

    Whoever keeps it makes the next that changes the variable copy it.
    """
    for handle in variable_handles(variable):
        # A variable whose rows were looked up is copied whenever it is read, until it is told not to be.
        tf.raw_ops.DisableCopyOnRead(resource=handle)
    with tf.device("CPU"):
        value = tf.identity(variable)
    known = np.dtype(value.dtype.as_numpy_dtype).kind in "biufc"
    return np.asarray(memoryview(value)) if known else value.numpy()


def large_in_place(variables: Iterable[tf.Variable]) -> list[np.ndarray]:
    """What the large ones of some variables hold, as `in_place` has it."""
    return [in_place(x) for x in variables if x.shape.num_elements() * x.dtype.size >= _LARGE]


def parts(value: np.ndarray) -> Iterator[slice]:
    """Slices of the first axis that make up an array, each of few bytes."""
    rows = max(1, _PART // max(1, value[:1].nbytes))
    return (slice(start, start + rows) for start in range(0, len(value), rows))
