"""DIEN's attention: how much each interest has to do with the item to be scored."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

Shape = Sequence[int | None]


@keras.saving.register_keras_serializable(package="tfnorm")
class InterestScores(keras.layers.Layer):
    """Attention scores by a bilinear form.

        a_t = exp(h_t W q) / sum_u exp(h_u W q)     over the t, u that are no padding

    Called with `query` `[N, D]`, `interests` `[N, T, U]` and `valid` `[N, T]`, boolean, False for
    padding. Returns a `[N, T]`, 0 where there is padding. Its weight is W `[U, D]`.

    Example:

        >>> layer = InterestScores()
        >>> valid = tf.constant([[True, True, False], [False, False, False]])
        >>> layer(tf.ones([2, 4]), tf.ones([2, 3, 5]), valid).numpy().tolist()
        [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1809.03672, section 4.3.
    """

    def build(self, query_shape: Shape, interests_shape: Shape, valid_shape: Shape) -> None:
        self.kernel = self.add_weight(shape=(interests_shape[-1], query_shape[-1]), name="kernel")

    def call(self, query: tf.Tensor, interests: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        wanted = tf.matmul(query, self.kernel, transpose_b=True)
        scores = tf.einsum("ntu,nu->nt", interests, wanted)
        scores = tf.where(valid, scores, scores.dtype.min)
        return tf.where(valid, tf.nn.softmax(scores), 0)

    def of_candidates(self, query: tf.Tensor, interests: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """The scores of the interests of each user for several targets.

        Args:
            query: `[U, N, D]`, N targets of each user.
            interests: `[U, T, U']`.
            valid: `[U, T]`.

        Returns:
            a, `[U, N, T]`.
        """
        kernel = tf.cast(self.kernel, query.dtype)
        wanted = tf.tensordot(query, tf.transpose(kernel), axes=1)
        scores = tf.matmul(wanted, interests, transpose_b=True)
        there = valid[:, tf.newaxis]
        scores = tf.where(there, scores, scores.dtype.min)
        return tf.where(there, tf.nn.softmax(scores), 0)

    def compute_output_shape(
        self, query_shape: Shape, interests_shape: Shape, valid_shape: Shape
    ) -> Shape:
        return valid_shape


@keras.saving.register_keras_serializable(package="tfnorm")
class AtLeastOneStep(keras.layers.Layer):
    """Histories for a recurrent layer, which needs a step: one of padding where there is none.

    Called with `x` `[N, T, D]` and `valid` `[N, T]`, and returns both.

    Example:

        >>> x, valid = AtLeastOneStep()(tf.zeros([2, 0, 3]), tf.zeros([2, 0], tf.bool))
        >>> x.shape.as_list(), valid.numpy().tolist()
        ([2, 1, 3], [[False], [False]])
    """

    def call(self, x: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        steps = tf.cast(tf.shape(valid)[1] == 0, tf.int32)
        return tf.pad(x, [[0, 0], [0, steps], [0, 0]]), tf.pad(valid, [[0, 0], [0, steps]])

    def compute_output_shape(self, x_shape: Shape, valid_shape: Shape) -> tuple[Shape, Shape]:
        return (x_shape[0], None, x_shape[2]), (valid_shape[0], None)
