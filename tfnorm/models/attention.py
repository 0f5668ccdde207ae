"""Target attention: how much each item of a history matters for the item to be scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfnorm._tensorflow import in_xla_context

Shape = Sequence[int | None]


@keras.saving.register_keras_serializable(package="tfnorm")
class TargetAttention(keras.layers.Layer):
    """The history as the target sees it.

        s_t = mlp([q, k_t, q - k_t, q * k_t])
        a_t = exp(s_t) / sum_u exp(s_u)     over the t, u that are no padding
        y = sum_t a_t k_t                   0 for a history that is all padding

    Without the softmax a_t is s_t itself: the paper keeps the intensity of an interest, and its
    authors' code does not.

    The mlp's first layer is computed as q (Wq + Wd) + k_t (Wk - Wd) + (q * k_t) Wp, where W is
    [Wq; Wk; Wd; Wp]: half of the products, and the same scores within rounding. In training, padding
    is left out of the mlp, except under XLA, which needs shapes that it knows.

    Args:
        units: widths of the MLP's hidden layers, which are sigmoid; a linear unit follows.
        softmax: False for a_t = s_t; the linear unit then has a bias.
        **kwargs: further arguments of `keras.layers.Layer`.

    Call arguments:
        query: q, `[N, D]`.
        keys: k, `[N, T, D]`. T may differ from call to call, and may be 0; more padding changes
            nothing.
        valid: `[N, T]`, boolean, False for padding.
        training: whether the model is trained.

    Returns y, `[N, D]`.

    Example:

        >>> layer = TargetAttention(units=(8,))
        >>> valid = tf.constant([[True, True, False], [False, False, False]])
        >>> layer(tf.ones([2, 4]), tf.ones([2, 3, 4]), valid).numpy().round(3).tolist()
        [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978, section 4.3; the MLP's inputs and the
        softmax are those of the DIEN authors' code, https://github.com/mouna99/dien.
    """

    def __init__(
        self, units: Sequence[int] = (80, 40), *, softmax: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.softmax = softmax
        self.mlp = [
            keras.layers.Dense(width, "sigmoid", name=f"dense_{i}", dtype=self.dtype_policy)
            for i, width in enumerate(self.units, start=1)
        ]
        # The softmax would cancel a bias.
        self.mlp.append(
            keras.layers.Dense(1, use_bias=not softmax, name="score", dtype=self.dtype_policy)
        )

    def build(self, query_shape: Shape, keys_shape: Shape, valid_shape: Shape) -> None:
        width = keys_shape[-1]
        assert width is not None
        shape: Shape = (*keys_shape[:-1], 4 * width)
        for dense in self.mlp:
            dense.build(shape)
            shape = dense.compute_output_shape(shape)

    def call(
        self,
        query: tf.Tensor,
        keys: tf.Tensor,
        valid: tf.Tensor,
        training: bool | None = None,
    ) -> tf.Tensor:
        if training and not in_xla_context():
            there = tf.where(valid)
            rows = there[:, 0]
            scores = self._scores(query, tf.gather_nd(keys, there), lambda x: tf.gather(x, rows))
            scores = tf.scatter_nd(there, scores, tf.shape(valid, there.dtype))
        else:
            scores = self._scores(query, keys, lambda x: x[:, tf.newaxis])
        if self.softmax:
            scores = tf.nn.softmax(tf.where(valid, scores, scores.dtype.min))
        return tf.einsum("nt,ntd->nd", tf.where(valid, scores, 0), keys)

    def _scores(self, query: tf.Tensor, keys: tf.Tensor, beside: Any) -> tf.Tensor:
        """s of the keys; `beside` puts each query beside its keys."""
        first, *others = self.mlp
        of_query, of_key, of_difference, of_product = tf.split(
            tf.cast(first.kernel, query.dtype), 4
        )
        of_keys = tf.concat([of_key - of_difference, of_product], axis=0)
        x = tf.tensordot(tf.concat([keys, beside(query) * keys], axis=-1), of_keys, axes=1)
        of_the_query = tf.matmul(query, of_query + of_difference)
        if first.use_bias:
            of_the_query += tf.cast(first.bias, query.dtype)
        x = first.activation(x + beside(of_the_query))
        for dense in others:
            x = dense(x)
        return x[..., 0]

    def of_candidates(self, query: tf.Tensor, keys: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """The history as each of several targets sees it: the same within rounding, in inference mode.

        What does not depend on the target is computed once: k_t (Wk - Wd), and, where a user has many
        targets, Wq + Wd + diag(k_t) Wp, by which q is multiplied.

        Args:
            query: `[U, N, D]`, N targets of each user.
            keys: `[U, T, D]`.
            valid: `[U, T]`.

        Returns:
            y, `[U, N, D]`.
        """
        first, *others = self.mlp
        of_query, of_key, of_difference, of_product = tf.split(
            tf.cast(first.kernel, query.dtype), 4
        )
        of_the_keys = tf.tensordot(keys, of_key - of_difference, axes=1)
        if first.use_bias:
            of_the_keys += tf.cast(first.bias, query.dtype)
        users, each, width = tf.shape(query)[0], tf.shape(query)[1], query.shape[-1]
        steps, hidden = tf.shape(keys)[1], first.units

        def a_kernel_for_each_user() -> tf.Tensor:
            kernel = keys[:, :, :, tf.newaxis] * of_product + (of_query + of_difference)
            kernel = tf.reshape(tf.transpose(kernel, [0, 2, 1, 3]), [users, width, steps * hidden])
            x = tf.matmul(query, kernel) + tf.reshape(of_the_keys, [users, 1, steps * hidden])
            return tf.reshape(x, [users, each, steps, hidden])

        def a_product_for_each_target() -> tf.Tensor:
            x = tf.tensordot(query[:, :, tf.newaxis] * keys[:, tf.newaxis], of_product, axes=1)
            of_the_query = tf.tensordot(query, of_query + of_difference, axes=1)
            return x + of_the_query[:, :, tf.newaxis] + of_the_keys[:, tf.newaxis]

        # Of fewer targets than that, the kernels take more memory than what they save.
        x = tf.cond(each >= width, a_kernel_for_each_user, a_product_for_each_target)
        x = first.activation(tf.ensure_shape(x, [None, None, None, hidden]))
        for dense in others:
            x = dense(x)
        there, scores = valid[:, tf.newaxis], x[..., 0]
        if self.softmax:
            scores = tf.nn.softmax(tf.where(there, scores, scores.dtype.min))
        return tf.matmul(tf.where(there, scores, 0), keys)

    def compute_output_shape(
        self, query_shape: Shape, keys_shape: Shape, valid_shape: Shape
    ) -> Shape:
        return query_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "softmax": self.softmax}
