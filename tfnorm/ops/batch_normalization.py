"""Normalization of each channel."""

from __future__ import annotations

import tensorflow as tf

from tfnorm.ops.batch_kernels import normalize_by_batch
from tfnorm.ops.moments import (
    Moments,
    channel_moments,
    flatten,
    per_channel,
    statistics_dtype,
    unflatten,
    widened,
)


def batch_normalization(
    x: tf.Tensor,
    mean: tf.Tensor | None = None,
    variance: tf.Tensor | None = None,
    gamma: tf.Tensor | None = None,
    beta: tf.Tensor | None = None,
    *,
    epsilon: float = 1e-3,
    axis: int = -1,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Normalize every channel of `x`, with given statistics or with its own.

        gamma (x - mean) / sqrt(variance + epsilon) + beta

    Args:
        x: `[..., C, ...]`, floating point, rank 2 or more.
        mean: `[C]`, a moving mean; None for the mean of `x`, as in training.
        variance: `[C]`, given where `mean` is.
        gamma: `[C]`, the scale; None for 1.
        beta: `[C]`, the offset; None for 0.
        epsilon: keeps the root away from zero.
        axis: the channel axis.
        mask: bool, of the shape `x.shape[:-1]` or broadcastable to it: the positions that count in
            the statistics of `x`. It has no part in statistics that are given.

    Returns:
        A tensor of the shape and dtype of `x`; the arithmetic is in float32 or wider.

    Raises:
        ValueError: one of `mean` and `variance` is given without the other, or `mask` doesn't fit.

    Example:

        >>> x = tf.constant([[1.0], [5.0]])
        >>> batch_normalization(x, mean=[1.0], variance=[4.0], epsilon=0.0).numpy().tolist()
        [[0.0], [2.0]]
        >>> batch_normalization(x, epsilon=0.0).numpy().tolist()
        [[-1.0], [1.0]]

    Reference:
        Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167.
    """
    x = tf.convert_to_tensor(x)
    if has_own_statistics(mean, variance):
        wide = widened(x, mask)
        y, _ = normalize_batch(wide, gamma, beta, epsilon=epsilon, axis=axis, mask=mask)
        return tf.cast(y, x.dtype)
    form = {"epsilon": epsilon, "axis": axis}
    return tf.cast(normalize_with(widened(x, None), mean, variance, gamma, beta, **form), x.dtype)


def normalize_with(
    x: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    gamma: tf.Tensor | None,
    beta: tf.Tensor | None,
    *,
    epsilon: float,
    axis: int,
) -> tf.Tensor:
    """Normalize every channel of a `widened` x with these statistics.

    The mean is subtracted first: folded into the offset it costs the digits by which it is larger than
    sqrt(variance + epsilon), which are all of them where a channel is constant.
    """
    mean = tf.cast(mean, x.dtype)
    scale, _ = folded(mean, variance, gamma, None, epsilon)
    return affine(affine(x, None, -mean, axis=axis), scale, beta, axis=axis)


def normalize_batch(
    x: tf.Tensor,
    gamma: tf.Tensor | None,
    beta: tf.Tensor | None,
    *,
    epsilon: float,
    axis: int,
    mask: tf.Tensor | None,
) -> tuple[tf.Tensor, Moments]:
    """Normalize every channel of a `widened` x with its own statistics; those come back too."""
    if mask is not None:
        own = channel_moments(x, axis, mask)
        form = {"epsilon": epsilon, "axis": axis}
        return normalize_with(x, own.mean, own.variance, gamma, beta, **form), own
    flat = flatten(x, axis % x.shape.rank)
    channels = flat.shape[1]
    y, own = normalize_by_batch(
        flat,
        tf.ones(channels, flat.dtype) if gamma is None else tf.cast(gamma, flat.dtype),
        tf.zeros(channels, flat.dtype) if beta is None else tf.cast(beta, flat.dtype),
        epsilon,
    )
    return unflatten(y, x), own


def folded(
    mean: tf.Tensor,
    variance: tf.Tensor,
    gamma: tf.Tensor | None,
    beta: tf.Tensor | None,
    epsilon: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The multiplication and the addition that are all of a normalization with known statistics.

    scale = gamma / sqrt(variance + epsilon),    offset = beta - mean scale
    """
    mean = tf.convert_to_tensor(mean)
    scale = tf.math.rsqrt(tf.cast(variance, mean.dtype) + epsilon)
    if gamma is not None:
        scale *= tf.cast(gamma, mean.dtype)
    offset = -mean * scale
    return scale, offset if beta is None else tf.cast(beta, mean.dtype) + offset


def affine(
    x: tf.Tensor, scale: tf.Tensor | None, offset: tf.Tensor | None, *, axis: int | None = None
) -> tf.Tensor:
    """scale x + offset, each `[C]` along `axis`, or broadcast as they are; None leaves a step out."""
    wide = statistics_dtype(x.dtype)

    def ready(v: tf.Tensor) -> tf.Tensor:
        v = tf.cast(v, wide)
        return v if axis is None else per_channel(v, x.shape.rank, axis)

    y = tf.cast(x, wide)
    if scale is not None:
        y *= ready(scale)
    if offset is not None:
        y += ready(offset)
    return tf.cast(y, x.dtype)


def has_own_statistics(mean: tf.Tensor | None, variance: tf.Tensor | None) -> bool:
    """Whether no statistics are given, so that those of the batch are meant."""
    if (mean is None) != (variance is None):
        raise ValueError(
            "mean and variance go together: give both, or neither for the statistics of x; "
            f"received mean={mean!r}, variance={variance!r}"
        )
    return mean is None
