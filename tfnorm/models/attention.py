"""Target attention: how much each item of a history matters for the item to be scored."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfnorm")
class TargetAttention(keras.layers.Layer):
    """The history as the target sees it.

        s_t = mlp([q, k_t, q - k_t, q * k_t])
        a_t = exp(s_t) / sum_u exp(s_u)     over the t, u that are no padding
        y = sum_t a_t k_t                   0 for a history that is all padding

    Args:
        units: widths of the MLP's hidden layers, which are sigmoid; a linear unit follows.
        **kwargs: of `keras.layers.Layer`.

    Called with `query` `[N, D]`, `keys` `[N, T, D]` and `valid` `[N, T]`, boolean, False for
    padding. Returns `[N, D]`. T may differ from call to call, and more padding changes nothing.

    Example:

        >>> layer = TargetAttention(units=(8,))
        >>> valid = tf.constant([[True, True, False], [False, False, False]])
        >>> layer(tf.ones([2, 4]), tf.ones([2, 3, 4]), valid).numpy().round(3).tolist()
        [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978, section 4.3; the MLP's inputs and the
        softmax are those of the DIEN authors' code, https://github.com/mouna99/dien.
    """

    def __init__(self, units: Sequence[int] = (80, 40), **kwargs):
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.mlp = [
            keras.layers.Dense(width, "sigmoid", name=f"dense_{i}", dtype=self.dtype_policy)
            for i, width in enumerate(self.units, start=1)
        ]
        # No bias: the softmax would cancel it.
        self.mlp.append(
            keras.layers.Dense(1, use_bias=False, name="score", dtype=self.dtype_policy)
        )

    def build(self, query_shape, keys_shape, valid_shape) -> None:
        shape = (*keys_shape[:-1], 4 * keys_shape[-1])
        for dense in self.mlp:
            dense.build(shape)
            shape = dense.compute_output_shape(shape)

    def call(self, query: tf.Tensor, keys: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        query = tf.broadcast_to(query[:, tf.newaxis], tf.shape(keys))
        scores = tf.concat([query, keys, query - keys, query * keys], axis=-1)
        for dense in self.mlp:
            scores = dense(scores)
        scores = tf.where(valid, scores[..., 0], scores.dtype.min)
        weights = tf.where(valid, tf.nn.softmax(scores), 0)
        return tf.einsum("nt,ntd->nd", weights, keys)

    def compute_output_shape(self, query_shape, keys_shape, valid_shape):
        return query_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units}
