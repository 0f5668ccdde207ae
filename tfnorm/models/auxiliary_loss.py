"""What teaches DIEN's interests: the next behaviour."""

from __future__ import annotations

import tensorflow as tf


def auxiliary_loss(
    interests: tf.Tensor, behaviours: tf.Tensor, negatives: tf.Tensor, valid: tf.Tensor
) -> tf.Tensor:
    """The log loss of telling the next behaviour from one that never was.

        -mean of log sigmoid(h_t b_{t+1}) + log(1 - sigmoid(h_t n_{t+1}))

    over the t for which t + 1 is no padding, so that more padding changes nothing; 0 if there are
    none.

    Args:
        interests: h, `[N, T, D]`.
        behaviours: b, `[N, T, D]`, the history embedded.
        negatives: n, `[N, T, D]`, in the place of each behaviour another that wasn't.
        valid: bool `[N, T]`, False for padding.

    Returns:
        A number.

    Example:

        >>> x = tf.zeros([1, 3, 2])
        >>> round(float(auxiliary_loss(x, x, x, tf.constant([[True, True, False]]))), 4)
        1.3863

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1809.03672, section 4.2.
    """
    losses, counts = auxiliary_losses(interests, behaviours, negatives, valid)
    return tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(counts), 1)


def auxiliary_losses(
    interests: tf.Tensor, behaviours: tf.Tensor, negatives: tf.Tensor, valid: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Of each example the sum of `auxiliary_loss` over its steps, and their number, `[N]`."""
    now = interests[:, :-1]
    positive = tf.reduce_sum(now * behaviours[:, 1:], axis=-1)
    negative = tf.reduce_sum(now * negatives[:, 1:], axis=-1)
    losses = tf.cast(tf.nn.softplus(-positive) + tf.nn.softplus(negative), tf.float32)
    counted = tf.cast(valid[:, 1:], tf.float32)
    return tf.reduce_sum(losses * counted, axis=1), tf.reduce_sum(counted, axis=1)
