"""Rows of a table in fewer bytes."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import is_variable
from tfnorm.errors import InputError
from tfnorm.session.memory import in_place, parts

FLOAT32, FLOAT16, INT8 = "float32", "float16", "int8"
STORES = (FLOAT32, FLOAT16, INT8)
LEVELS = 127
"""Of int8: a row's largest magnitude is as many times its scale."""


def stored_rows(layer: keras.layers.Embedding, store: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """What gives the rows of ids, of a layer's table as it is stored.

        float16: x                    within |x| / 2048, and 2^-25 near 0
        int8: round(x / s) s          within s / 2, with s = the row's largest |x| / 127

    Args:
        layer: built.
        store: one of `STORES`.

    Raises:
        InputError: a value is beyond float16.
    """
    table = layer.embeddings
    table = table.value if is_variable(table) else table
    if store == FLOAT32:
        return lambda ids: tf.gather(table, ids)
    value, dtype = in_place(table), table.dtype
    if store == FLOAT16:
        half = _zeros(table.shape, tf.float16, f"{layer.name}_float16")
        for part in parts(value):
            largest = np.abs(value[part]).max(initial=0)
            if largest > np.finfo(np.float16).max:
                raise InputError(
                    f"embeddings is 'float16', and layer {layer.name!r} has a weight of {largest:.3g}; "
                    f"accepted: none beyond {np.finfo(np.float16).max:g}"
                )
            _assign(half, part, value[part])
        return lambda ids: tf.cast(tf.gather(half, ids), dtype)
    levels = _zeros(table.shape, tf.int8, f"{layer.name}_int8")
    scales = _zeros((table.shape[0], 1), tf.float32, f"{layer.name}_scales")
    for part in parts(value):
        exact = value[part].astype(np.float64)
        scale = np.abs(exact).max(axis=1, keepdims=True, initial=0) / LEVELS
        _assign(scales, part, scale)
        _assign(levels, part, np.rint(exact / np.where(scale == 0, 1, scale)))

    def rows(ids: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(levels, ids), dtype) * tf.cast(tf.gather(scales, ids), dtype)

    return rows


def _zeros(shape: tuple[int, ...], dtype: tf.DType, name: str) -> tf.Variable:
    return tf.Variable(tf.zeros(shape, dtype), trainable=False, name=name)


def _assign(variable: tf.Variable, rows: slice, values: np.ndarray) -> None:
    """Assign to some rows of a variable, which `variable[rows].assign` would copy first."""
    tf.raw_ops.ResourceStridedSliceAssign(
        ref=variable.handle,
        begin=[rows.start],
        end=[rows.stop],
        strides=[1],
        value=tf.constant(values.astype(variable.dtype.as_numpy_dtype)),
    )
