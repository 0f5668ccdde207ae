"""Ghost batches: a batch cut into smaller ones that are normalized apart."""

from __future__ import annotations

import tensorflow as tf

from tfnorm.ops.moments import broadcast_mask


def split(x: tf.Tensor, size: int, mask: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Cut `[N, ...]` into ghost batches of consecutive rows.

    A size that does not divide N leaves one smaller ghost batch at the end, filled up with rows that
    the mask leaves out.

    Args:
        x: `[N, ...]`.
        size: rows a ghost batch.
        mask: as in `tfnorm.ops.moments`; None where all positions count.

    Returns:
        `[G, size, ...]` and its mask, of that shape without the last axis.

    Reference:
        Hoffer, Hubara and Soudry, 2017, https://arxiv.org/abs/1705.08741.
    """
    rows = tf.shape(x)[0]
    missing = -rows % size

    def cut(v: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(v, [[0, missing], *[[0, 0]] * (v.shape.rank - 1)])
        ghosts = tf.reshape(padded, tf.concat([[-1, size], tf.shape(v)[1:]], 0))
        ghosts.set_shape([None, size, *v.shape[1:]])
        return ghosts

    counted = tf.ones((1,) * (x.shape.rank - 1), tf.bool) if mask is None else mask
    return cut(x), cut(broadcast_mask(counted, x)[..., 0])


def join(ghosts: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Undo `split`: `[G, size, ...]` to `[rows, ...]`."""
    return tf.reshape(ghosts, tf.concat([[-1], tf.shape(ghosts)[2:]], 0))[:rows]


def average(
    counts: tf.Tensor, means: tf.Tensor, variances: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Count, mean and variance `[C]` of `[G, C]`, averaged with each ghost batch's count as weight."""
    count = tf.reduce_sum(counts, 0)
    mean, variance = (
        tf.math.divide_no_nan(tf.reduce_sum(counts * v, 0), count) for v in (means, variances)
    )
    return count, mean, variance
