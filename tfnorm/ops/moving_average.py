"""How moving statistics move."""

from __future__ import annotations

import tensorflow as tf


def moving_average(
    moving: tf.Tensor, value: tf.Tensor, keep: tf.Tensor | float, count: tf.Tensor
) -> tf.Tensor:
    """keep * moving + (1 - keep) * value, or moving as it was where `count` is 0.

    In float64, so that a statistic which is right stays so to the last digit.
    """
    # tf.cast would make float32 of a Python number first.
    wide = tf.cast(keep, tf.float64) if tf.is_tensor(keep) else tf.constant(keep, tf.float64)
    keep = tf.where(count > 0, wide, 1)
    moved = keep * tf.cast(moving, tf.float64) + (1 - keep) * tf.cast(value, tf.float64)
    return tf.cast(moved, moving.dtype)


def warmed_up(momentum: float, updates: tf.Tensor) -> tf.Tensor:
    """min(momentum, (1 + n) / (10 + n)), for update n from 0.

    The first batches replace the initial statistics quickly, as in `tf.train.ExponentialMovingAverage`.
    """
    return tf.minimum((1.0 + updates) / (10.0 + updates), momentum)


def cumulative(updates: tf.Tensor) -> tf.Tensor:
    """n / (n + 1), for update n from 0: after n updates the average is the mean of n batches."""
    return updates / (updates + 1.0)


def unbiased(variance: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """var m / (m - 1), or var where m is 1 (Ioffe and Szegedy, 2015, algorithm 2)."""
    return variance * count / tf.maximum(count - 1.0, 1.0)
