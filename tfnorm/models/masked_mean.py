"""A padded sequence as one vector."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfnorm")
class MaskedMean(keras.layers.Layer):
    """The mean of a sequence without its padding.

        y = sum_t valid_t x_t / max(1, sum_t valid_t)

    Called with `x` `[N, T, D]` and `valid` `[N, T]`, boolean, False for padding; returns `[N, D]`,
    which is 0 for a sequence that is all padding (`keras.layers.GlobalAveragePooling1D` gives NaN).

    Example:

        >>> x = tf.constant([[[1.0], [3.0], [9.0]]])
        >>> MaskedMean()(x, tf.constant([[True, True, False]])).numpy().tolist()
        [[2.0]]
    """

    def call(self, x: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        weights = tf.cast(valid, x.dtype)
        count = tf.reduce_sum(weights, axis=1, keepdims=True)
        return tf.einsum("nt,ntd->nd", weights, x) / tf.maximum(count, 1)

    def compute_output_shape(
        self, x_shape: Sequence[int | None], valid_shape: Sequence[int | None]
    ) -> tuple[int | None, ...]:
        return (x_shape[0], x_shape[2])


@keras.saving.register_keras_serializable(package="tfnorm")
class MaskedSum(MaskedMean):
    """The sum of a sequence without its padding.

        y = sum_t valid_t x_t

    Called as `MaskedMean` is.

    Example:

        >>> x = tf.constant([[[1.0], [3.0], [9.0]]])
        >>> MaskedSum()(x, tf.constant([[True, True, False]])).numpy().tolist()
        [[4.0]]
    """

    def call(self, x: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        return tf.einsum("nt,ntd->nd", tf.cast(valid, x.dtype), x)
