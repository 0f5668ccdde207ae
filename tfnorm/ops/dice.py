"""Dice, the activation of Deep Interest Networks."""

from __future__ import annotations

import tensorflow as tf

from tfnorm.ops.batch_kernels import dice_by_batch
from tfnorm.ops.batch_normalization import affine, has_own_statistics, normalize_with
from tfnorm.ops.moments import (
    Moments,
    channel_moments,
    flatten,
    statistics_dtype,
    unflatten,
    widened,
)


def dice(
    x: tf.Tensor,
    mean: tf.Tensor | None = None,
    variance: tf.Tensor | None = None,
    alpha: tf.Tensor | None = None,
    *,
    epsilon: float = 1e-9,
    axis: int = -1,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """PReLU whose rectified point follows the data.

        p = sigmoid((x - mean) / sqrt(variance + epsilon)),    y = p x + (1 - p) alpha x

    Args:
        x: `[..., C, ...]`, floating point, rank 2 or more.
        mean: `[C]`, a moving mean; None for the mean of `x`, as in training.
        variance: `[C]`, given where `mean` is.
        alpha: `[C]`, the slope below the mean; None for 0.
        epsilon: keeps the root away from zero.
        axis: the channel axis.
        mask: bool, of the shape `x.shape[:-1]` or broadcastable to it: the positions that count in
            the statistics of `x`. It has no part in statistics that are given.

    Returns:
        A tensor of the shape and dtype of `x`; the arithmetic is in float32 or wider.

    Raises:
        ValueError: one of `mean` and `variance` is given without the other, or `mask` doesn't fit.

    Example:

        >>> dice(tf.constant([[2.0]]), mean=[2.0], variance=[1.0], alpha=[0.5]).numpy().tolist()
        [[1.5]]

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978, section 5.3.
    """
    x = tf.convert_to_tensor(x)
    if has_own_statistics(mean, variance):
        y, _ = dice_batch(widened(x, mask), alpha, epsilon=epsilon, axis=axis, mask=mask)
        return tf.cast(y, x.dtype)
    return _activate(x, mean, variance, alpha, epsilon, axis)


def dice_batch(
    x: tf.Tensor,
    alpha: tf.Tensor | None,
    *,
    epsilon: float,
    axis: int,
    mask: tf.Tensor | None,
) -> tuple[tf.Tensor, Moments]:
    """Dice of `x`, which is `widened`, with its own statistics; give those too."""
    if mask is not None:
        own = channel_moments(x, axis, mask)
        return _activate(x, own.mean, own.variance, alpha, epsilon, axis), own
    flat = flatten(x, axis % x.shape.rank)
    slope = tf.zeros(flat.shape[1], flat.dtype) if alpha is None else tf.cast(alpha, flat.dtype)
    y, own = dice_by_batch(flat, slope, epsilon)
    return unflatten(y, x), own


def _activate(x, mean, variance, alpha, epsilon: float, axis: int) -> tf.Tensor:
    wide = tf.cast(x, statistics_dtype(x.dtype))
    p = tf.sigmoid(normalize_with(wide, mean, variance, None, None, epsilon=epsilon, axis=axis))
    if alpha is not None:
        alpha = tf.cast(alpha, wide.dtype)
        p = affine(p, 1 - alpha, alpha, axis=axis)
    return tf.cast(wide * p, x.dtype)
