"""Batch renormalization."""

from __future__ import annotations

import tensorflow as tf

from tfnorm.ops.batch_normalization import in_dtype


def correction(
    mean: tf.Tensor,
    sigma_b: tf.Tensor,
    renorm_mean: tf.Tensor,
    renorm_stddev: tf.Tensor,
    *,
    epsilon: float,
    rmin: float | None = None,
    rmax: float | None = None,
    dmax: float | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The r and d that move a batch's normalization towards that of the running statistics.

        r = sigma_B / sigma,    d = (mu_B - mu) / sigma,    y = gamma (x_hat r + d) + beta

    No gradient flows through them.

    Args:
        mean: mu_B, `[C]`.
        sigma_b: sigma_B = sqrt(var_B + epsilon), `[C]`.
        renorm_mean: mu, `[C]`.
        renorm_stddev: sigma, `[C]`, taken as sqrt(epsilon) where it is smaller.
        epsilon: of the normalization.
        rmin: least r; None for no bound.
        rmax: greatest r; None for no bound.
        dmax: greatest |d|; None for no bound.

    Returns:
        r and d, each `[C]`.

    Reference:
        Ioffe, 2017, https://arxiv.org/abs/1702.03275, algorithm 1.
    """
    sigma = tf.maximum(renorm_stddev, tf.sqrt(tf.constant(epsilon, renorm_stddev.dtype)))
    r = sigma_b / sigma
    d = (mean - renorm_mean) / sigma
    if rmin is not None:
        r = tf.maximum(r, rmin)
    if rmax is not None:
        r = tf.minimum(r, rmax)
    if dmax is not None:
        d = tf.clip_by_value(d, -dmax, dmax)
    return tf.stop_gradient(r), tf.stop_gradient(d)


def compose(
    r: tf.Tensor, d: tf.Tensor, gamma: tf.Tensor | None, beta: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """The scale and offset that stand for both steps: gamma (x_hat r + d) + beta."""
    gamma, beta = in_dtype(r.dtype, gamma, beta)
    scale, offset = (r, d) if gamma is None else (r * gamma, d * gamma)
    return scale, offset if beta is None else offset + beta


def stddev(variance: tf.Tensor, epsilon: float) -> tf.Tensor:
    """sqrt(var + epsilon)."""
    return tf.sqrt(variance + epsilon)


def variance(sigma: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Undo `stddev`: sigma^2 - epsilon, or 0 where rounding takes it below."""
    return tf.nn.relu(tf.square(sigma) - epsilon)
