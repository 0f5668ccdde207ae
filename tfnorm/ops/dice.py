"""Dice, the activation of Deep Interest Networks."""

from __future__ import annotations

import tensorflow as tf

from tfnorm.ops.batch_normalization import has_own_statistics, in_dtype, normalized
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
        variance: `[C]`, given where `mean` is; None to take that of `x`.
        alpha: `[C]`, the slope below the mean; None for 0.
        epsilon: keeps the root away from zero.
        axis: the channel axis.
        mask: bool, of the shape `x.shape[:-1]`, or of size 1 along any of its axes: the positions that
            count in the statistics of `x`; None where all do. It has no part in statistics that are given.

    Returns:
        A tensor of the shape and dtype of `x`; the arithmetic is in float32 or wider.

    Raises:
        InputError: one of `mean` and `variance` is given without the other, or `mask` doesn't fit.

    Example:

        >>> dice(tf.constant([[2.0]]), mean=[2.0], variance=[1.0], alpha=[0.5]).numpy().tolist()
        [[1.5]]

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978, section 5.3.
    """
    x = tf.convert_to_tensor(x)
    if has_own_statistics(mean, variance):
        y, _ = dice_batch(wide(x, mask), alpha, epsilon=epsilon, axis=axis, mask=mask)
    else:
        y = dice_with(wide(x, None), mean, variance, alpha, epsilon=epsilon, axis=axis)
    return tf.cast(y, x.dtype)


def dice_with(
    x: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    alpha: tf.Tensor | None,
    *,
    epsilon: float,
    axis: int,
) -> tf.Tensor:
    """Dice of a `wide` x with these statistics."""
    mean, variance, alpha = in_dtype(x.dtype, mean, variance, alpha)
    return rectified(x, mean, variance, alpha, epsilon, along_axis(x, axis))


def dice_batch(
    x: tf.Tensor,
    alpha: tf.Tensor | None,
    *,
    epsilon: float,
    axis: int,
    mask: tf.Tensor | None,
) -> tuple[tf.Tensor, Moments]:
    """Dice of a `wide` x with its own statistics; those come back too."""
    flat = flatten(x, axis % x.shape.rank)
    (alpha,) = in_dtype(x.dtype, alpha)
    y, own = by_batch(
        rectify,
        rectify_gradient,
        flat,
        tf.zeros(flat.shape[1], flat.dtype) if alpha is None else alpha,
        counted=flat_mask(mask, x, axis),
        epsilon=epsilon,
    )
    return unflatten(y, x), own


def rectified(
    x: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    alpha: tf.Tensor | None,
    epsilon: float,
    along: Along,
) -> tf.Tensor:
    """x (alpha + (1 - alpha) p),    p = sigmoid((x - mean) / sqrt(variance + epsilon))"""
    p = tf.sigmoid(normalized(x, mean, variance, None, None, epsilon, along))
    return x * p if alpha is None else x * (along(alpha) + along(1 - alpha) * p)


def rectify(
    sums: type[Sums],
    x: tf.Tensor,
    alpha: tf.Tensor,
    counted: tf.Tensor | None,
    epsilon: float,
) -> tuple[tf.Tensor, Moments]:
    """Dice of a `flatten`ed x by its own moments, and those."""
    own = flat_moments(x, counted, sums)
    return rectified(x, own.mean, own.variance, alpha, epsilon, along_columns(x)), own


def rectify_gradient(
    sums: type[Sums],
    dy: tf.Tensor,
    x: tf.Tensor,
    alpha: tf.Tensor,
    own: Moments,
    counted: tf.Tensor | None,
    epsilon: float,
) -> Tensors:
    """dx and dalpha; x_hat, p and their kind are computed again, so that nobody has to keep them."""
    r = computed_once(tf.math.rsqrt(own.variance + epsilon))

    # By 1 - p, which XLA does not take for the p of the forward pass: that would be kept in memory.
    def parts(dy: tf.Tensor, x: tf.Tensor) -> Tensors:
        deviations = x - column(own.mean, x)
        rest = tf.sigmoid(-deviations * column(r, x))
        dalpha = dy * x * rest
        return deviations, rest, dalpha, dalpha * (1 - rest)

    def summands(
        deviations: tf.Tensor, _: tf.Tensor, dalpha: tf.Tensor, dx_hat: tf.Tensor
    ) -> Tensors:
        return dalpha, dx_hat, dx_hat * deviations

    (dalpha, of_dx_hat, of_deviations), found = sums.several(parts, summands, dy, x)
    deviations, rest, _, dx_hat = found
    of_mean = computed_once(tf.math.divide_no_nan(of_dx_hat, own.count))
    of_scale = computed_once(tf.math.divide_no_nan(r * r * of_deviations, own.count))
    through_statistics = column(of_mean, x) + deviations * column(of_scale, x)
    direct = dy * (1 - column(1 - alpha, x) * rest)
    through_x_hat = column(1 - alpha, x) * (dx_hat - only(counted, through_statistics))
    # A division comes last because XLA never repeats one: of a deep model's gradients it would.
    stddev = computed_once(1 / r)
    return (direct * column(stddev, x) + through_x_hat) / column(stddev, x), dalpha
