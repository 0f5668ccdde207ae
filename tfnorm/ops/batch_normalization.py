"""Normalization of each channel."""

from __future__ import annotations

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.ops.by_batch import by_batch
from tfnorm.ops.moments import (
    Along,
    Moments,
    Sums,
    Tensors,
    along_axis,
    along_columns,
    column,
    flat_mask,
    flat_moments,
    flatten,
    only,
    unflatten,
    wide,
)
from tfnorm.ops.xla import computed_once


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
        variance: `[C]`, given where `mean` is; None to take that of `x`.
        gamma: `[C]`, the scale; None for 1.
        beta: `[C]`, the offset; None for 0.
        epsilon: keeps the root away from zero.
        axis: the channel axis.
        mask: bool, of the shape `x.shape[:-1]`, or of size 1 along any of its axes: the positions that
            count in the statistics of `x`; None where all do. It has no part in statistics that are given.

    Returns:
        A tensor of the shape and dtype of `x`; the arithmetic is in float32 or wider.

    Raises:
        InputError: one of `mean` and `variance` is given without the other, or `mask` doesn't fit.

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
        y, _ = normalize_batch(wide(x, mask), gamma, beta, epsilon=epsilon, axis=axis, mask=mask)
    else:
        y = normalize_with(wide(x, None), mean, variance, gamma, beta, epsilon=epsilon, axis=axis)
    return tf.cast(y, x.dtype)


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
    """Normalize every channel of a `wide` x with these statistics."""
    mean, variance, gamma, beta = in_dtype(x.dtype, mean, variance, gamma, beta)
    return normalized(x, mean, variance, gamma, beta, epsilon, along_axis(x, axis))


def normalize_batch(
    x: tf.Tensor,
    gamma: tf.Tensor | None,
    beta: tf.Tensor | None,
    *,
    epsilon: float,
    axis: int,
    mask: tf.Tensor | None,
) -> tuple[tf.Tensor, Moments]:
    """Normalize every channel of a `wide` x with its own statistics; those come back too."""
    flat = flatten(x, axis % x.shape.rank)
    gamma, beta = in_dtype(x.dtype, gamma, beta)
    y, own = by_batch(
        normalize,
        normalize_gradient,
        flat,
        tf.ones(flat.shape[1], flat.dtype) if gamma is None else gamma,
        tf.zeros(flat.shape[1], flat.dtype) if beta is None else beta,
        counted=flat_mask(mask, x, axis),
        epsilon=epsilon,
    )
    return unflatten(y, x), own


def normalized(
    x: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    gamma: tf.Tensor | None,
    beta: tf.Tensor | None,
    epsilon: float,
    along: Along,
) -> tf.Tensor:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta

    The mean is subtracted first: folded into the offset it costs the digits by which it is larger than
    sqrt(variance + epsilon), which are all of them where a channel is constant.
    """
    scale = tf.math.rsqrt(variance + epsilon)
    if gamma is not None:
        scale *= gamma
    y = (x - along(mean)) * along(computed_once(scale))
    return y if beta is None else y + along(beta)


def normalize(
    sums: type[Sums],
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    counted: tf.Tensor | None,
    epsilon: float,
) -> tuple[tf.Tensor, Moments]:
    """y of a `flatten`ed x by its own moments, and those."""
    own = flat_moments(x, counted, sums)
    return normalized(x, own.mean, own.variance, gamma, beta, epsilon, along_columns(x)), own


def normalize_gradient(
    sums: type[Sums],
    dy: tf.Tensor,
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    own: Moments,
    counted: tf.Tensor | None,
    epsilon: float,
) -> Tensors:
    """dx, dgamma and dbeta.

        r = 1 / sqrt(var_B + epsilon),    x_hat = (x - mu_B) r
        dL/dx = gamma r (dy - sum(dy) / m - x_hat sum(dy x_hat) / m)

    where x doesn't count, dL/dx is gamma r dy alone.
    """
    r = tf.math.rsqrt(own.variance + epsilon)
    (dbeta, of_deviations), (_, deviations) = sums.several(
        lambda dy, x: (dy, x - column(own.mean, x)), lambda dy, d: (dy, dy * d), dy, x
    )
    dgamma = r * of_deviations
    scale = computed_once(gamma * r)
    of_mean = computed_once(tf.math.divide_no_nan(scale * dbeta, own.count))
    of_scale = computed_once(tf.math.divide_no_nan(scale * r * dgamma, own.count))
    through_statistics = column(of_mean, x) + deviations * column(of_scale, x)
    dx = column(scale, x) * dy - only(counted, through_statistics)
    return dx, dgamma, dbeta


def affine(
    x: tf.Tensor, scale: tf.Tensor | None, offset: tf.Tensor | None, *, axis: int | None = None
) -> tf.Tensor:
    """scale x + offset for a `wide` x, each `[C]` along `axis`, or broadcast as they are."""
    scale, offset = in_dtype(x.dtype, scale, offset)
    along = along_axis(x, axis) if axis is not None else tf.identity
    if scale is not None:
        x *= along(scale)
    return x if offset is None else x + along(offset)


def in_dtype(dtype: tf.DType, *given: tf.Tensor | None) -> list[tf.Tensor | None]:
    """Each of `given` in that dtype; None stays None."""
    return [None if v is None else tf.cast(tf.convert_to_tensor(v), dtype) for v in given]


def has_own_statistics(mean: tf.Tensor | None, variance: tf.Tensor | None) -> bool:
    """Whether no statistics are given, so that those of the batch are meant."""
    if (mean is None) != (variance is None):
        raise InputError(
            "mean and variance go together: give both, or neither for the statistics of x; "
            f"received mean={mean!r}, variance={variance!r}"
        )
    return mean is None
