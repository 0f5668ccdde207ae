"""What decorrelates channels: covariances that add up, and the matrix that they lead to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

METHODS = ("zca", "pca")
"""How whitened channels are turned: as near to the inputs as can be, or to the principal axes."""


class Covariance(NamedTuple):
    """What a set of rows leaves behind, in float64; two of them can be merged without loss.

    M2 `[C, C]` is the sum of the outer products of the deviations from the mean `[C]`.
    """

    count: tf.Tensor
    mean: tf.Tensor
    M2: tf.Tensor


def covariance(x: tf.Tensor) -> Covariance:
    """The covariance of the rows of `x`, `[..., C]`."""
    rows = tf.cast(tf.reshape(x, [-1, x.shape[-1]]), tf.float64)
    count = tf.cast(tf.shape(rows)[0], tf.float64)
    mean = tf.math.divide_no_nan(tf.reduce_sum(rows, 0), count)
    deviations = rows - mean
    return Covariance(count, mean, tf.matmul(deviations, deviations, transpose_a=True))


def merge_covariances(first: Covariance, second: Covariance) -> Covariance:
    """The covariance of both sets of rows together.

        delta = mu_2 - mu_1,    M2 = M2_1 + M2_2 + delta delta' m_1 m_2 / (m_1 + m_2)

    Reference:
        Chan, Golub and LeVeque, 1979, Updating formulae and a pairwise algorithm for computing
        sample variances.
    """
    count = first.count + second.count
    delta = second.mean - first.mean
    share = tf.math.divide_no_nan(second.count, count)
    between = tf.tensordot(delta, delta, 0) * first.count * share
    return Covariance(count, first.mean + delta * share, first.M2 + second.M2 + between)


def whitening_kernel(
    found: Covariance, method: str, epsilon: float, components: int | None
) -> tf.Tensor:
    """The matrix `[C, K]` by which deviations from the mean are multiplied, in float64.

        M2 / m = U diag(l) U',    zca: U diag(l + epsilon)^(-1/2) U',    pca: U diag(l + epsilon)^(-1/2)

    The principal axes come by falling l, the first `components` of them, each with its largest entry
    positive. An l that is 0 but for rounding, as of channels that depend on each other, is 0, so that the
    matrix is infinite without an epsilon.
    """
    values, axes = tf.linalg.eigh(found.M2 / found.count)
    rounding = found.mean.shape[0] * np.finfo(np.float64).eps * tf.reduce_max(values)
    scale = tf.math.rsqrt(tf.where(values > rounding, values, 0) + epsilon)
    if method == "zca":
        return tf.matmul(axes * scale, axes, transpose_b=True)
    largest = tf.argmax(tf.abs(axes), 0)
    sign = tf.sign(tf.gather(tf.transpose(axes), largest, batch_dims=1))
    return tf.reverse(axes * scale * sign, [1])[:, :components]


def whitened(x: tf.Tensor, mean: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """(x - mean) kernel for a `wide` x; the mean is subtracted first, which costs no digits."""
    return tf.matmul(x - mean, kernel)
