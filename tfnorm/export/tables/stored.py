"""Rows of a table in fewer bytes."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError

FLOAT32, FLOAT16, INT8 = "float32", "float16", "int8"
STORES = (FLOAT32, FLOAT16, INT8)
LEVELS = 127
"""Of int8: a row's largest magnitude is as many times its scale."""

_ROWS = 1 << 16
"""How many rows are stored at a time."""


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
    table = table.value if isinstance(table, keras.Variable) else table
    if store == FLOAT32:
        return lambda ids: tf.gather(table, ids)
    shape, dtype = tuple(table.shape), table.dtype
    starts = range(0, shape[0], _ROWS)
    if store == FLOAT16:
        half = np.empty(shape, np.float16)
        for start in starts:
            part = table[start : start + _ROWS].numpy()
            if np.abs(part).max(initial=0) > np.finfo(np.float16).max:
                raise InputError(
                    f"embeddings is 'float16', and layer {layer.name!r} has a weight of "
                    f"{np.abs(part).max():.3g}; accepted: none beyond {np.finfo(np.float16).max:g}"
                )
            half[start : start + _ROWS] = part
        values = tf.Variable(half, trainable=False, name=f"{layer.name}_float16")
        return lambda ids: tf.cast(tf.gather(values, ids), dtype)
    levels, scales = np.empty(shape, np.int8), np.empty((shape[0], 1), np.float32)
    for start in starts:
        part = table[start : start + _ROWS].numpy().astype(np.float64)
        scale = np.abs(part).max(axis=1, keepdims=True, initial=0) / LEVELS
        scales[start : start + _ROWS] = scale
        levels[start : start + _ROWS] = np.rint(part / np.where(scale == 0, 1, scale))
    quantized = tf.Variable(levels, trainable=False, name=f"{layer.name}_int8")
    scaled_by = tf.Variable(scales, trainable=False, name=f"{layer.name}_scales")

    def rows(ids: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(quantized, ids), dtype) * tf.cast(tf.gather(scaled_by, ids), dtype)

    return rows
