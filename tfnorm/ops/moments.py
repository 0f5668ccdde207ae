"""The mean and the variance of each channel."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

# Rows that are summed one after another in the values' own dtype.
_BLOCK = 32


class Moments(NamedTuple):
    """What a set of values leaves behind; two of them can be merged without loss.

    Each is `[C]`, or `[G, C]` where G groups of rows are kept apart; one count may stand for all channels.
    """

    count: tf.Tensor
    mean: tf.Tensor
    squares: tf.Tensor

    @property
    def variance(self) -> tf.Tensor:
        """The biased variance; 0 where there is no value."""
        return tf.math.divide_no_nan(self.squares, self.count)


def moments(
    x: tf.Tensor, axis: int = -1, mask: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and biased variance of every channel of `x`.

        mu_B = sum(x) / m,    var_B = sum((x - mu_B)^2) / m

    The mean is subtracted before squaring, and long sums are made of short ones: over a million rows
    the variance is right to 1e-5 where the mean is 10,000 standard deviations from zero.

    Args:
        x: `[..., C, ...]`, floating point, rank 2 or more.
        axis: the channel axis.
        mask: bool, of the shape `x.shape[:-1]` or broadcastable to it. Positions where it is False
            don't count.

    Returns:
        `mean` and `variance`, each `[C]`, in float32, or float64 if `x` is float64. Both are 0 for a
        channel without values.

    Raises:
        ValueError: `mask` can't be broadcast to `x.shape[:-1]`.

    Example:

        >>> x = tf.constant([[1.0, 10.0], [3.0, 10.0], [9.0, 9.0]])
        >>> mean, variance = moments(x, mask=tf.constant([True, True, False]))
        >>> mean.numpy().tolist(), variance.numpy().tolist()
        ([2.0, 10.0], [1.0, 0.0])

    Reference:
        Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167, algorithm 1.
    """
    found = channel_moments(tf.convert_to_tensor(x), axis, mask)
    return found.mean, found.variance


def channel_moments(
    x: tf.Tensor, axis: int = -1, mask: tf.Tensor | None = None, *, batch_dims: int = 0
) -> Moments:
    """Count, mean and squared deviations of every channel, apart for each of `batch_dims` axes."""
    x = tf.cast(x, statistics_dtype(x.dtype))
    axis %= x.shape.rank
    values = flatten(x, axis, batch_dims)
    if mask is None:
        return flat_moments(values)
    mask = tf.broadcast_to(broadcast_mask(mask, x), tf.shape(x))
    return flat_moments(values, flatten(mask, axis, batch_dims))


def flat_moments(values: tf.Tensor, counted: tf.Tensor | None = None) -> Moments:
    """The moments of the channels of a `flatten`ed tensor."""
    count = (
        channel_count(values) if counted is None else channel_sum(tf.cast(counted, values.dtype))
    )

    def only_counted(v: tf.Tensor) -> tf.Tensor:
        return v if counted is None else tf.where(counted, v, tf.zeros((), v.dtype))

    # What doesn't count is taken out before it is squared: a NaN there has no way to a gradient.
    values = only_counted(values)
    # The first mean is off by rounding, and always to the same side where values repeat. Deviations from
    # it are small, and so is the error of their own mean: that corrects both results. Without it a
    # constant channel of 77,777.77 is normalized to 0.44 instead of 0.
    rough = tf.stop_gradient(tf.math.divide_no_nan(channel_sum(values), count))
    deviations = only_counted(values - column(rough, values))
    shift = tf.math.divide_no_nan(channel_sum(deviations), count)
    squares = tf.maximum(channel_sum(tf.square(deviations)) - count * tf.square(shift), 0)
    mean = rough + shift
    return Moments(tf.broadcast_to(count, tf.shape(mean)), mean, squares)


def merge(parts: Moments) -> Moments:
    """One set of moments from several, stacked along the first axis: counts merge, not averages."""
    count = tf.reduce_sum(parts.count, 0)
    rough = tf.math.divide_no_nan(tf.reduce_sum(parts.count * parts.mean, 0), count)
    shift = tf.math.divide_no_nan(tf.reduce_sum(parts.count * (parts.mean - rough), 0), count)
    mean = rough + shift
    between = tf.reduce_sum(parts.count * tf.square(parts.mean - mean), 0)
    return Moments(count, mean, tf.reduce_sum(parts.squares, 0) + between)


def statistics_dtype(dtype: tf.DType) -> tf.DType:
    """float64 for float64, float32 for all that is narrower."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def widened(x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """`x` in the dtype of its statistics, with 0 for what is neither counted nor finite.

    Widened once, for all its uses, so that their gradients meet before they are rounded to the dtype
    of `x`. A NaN would make NaN even of the gradient 0 that reaches what doesn't count.
    """
    x = tf.cast(x, statistics_dtype(x.dtype))
    if mask is None:
        return x
    return tf.where(broadcast_mask(mask, x) | tf.math.is_finite(x), x, tf.zeros((), x.dtype))


def per_channel(v: tf.Tensor, rank: int, axis: int) -> tf.Tensor:
    """Reshape `[C]` or `[G, C]` to broadcast along `axis` of a tensor of `rank` dimensions."""
    if v.shape.rank == 1 and axis in (-1, rank - 1):
        return v
    shape = [1] * rank
    shape[axis] = v.shape[-1]
    if v.shape.rank == 2:
        shape[0] = -1
    return tf.reshape(v, shape)


def broadcast_mask(mask: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """`mask` as `[..., 1]`, to be broadcast along the last axis of `x`."""
    mask = tf.cast(mask, tf.bool)
    try:
        fits = tf.broadcast_static_shape(mask.shape, x.shape[:-1]).is_compatible_with(x.shape[:-1])
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"mask must have the shape of the inputs without the last axis, {x.shape[:-1]}, or one "
            f"broadcastable to it; it has the shape {mask.shape}"
        )
    return tf.broadcast_to(mask, tf.shape(x)[:-1])[..., tf.newaxis]


def flatten(x: tf.Tensor, axis: int, batch_dims: int = 0) -> tf.Tensor:
    """`x` with the axes before and after the channels, A and B, in one axis each.

    It is `[A, C]` if the channels are last, else `[A, C, B]`, and `[G, A, C, B]` where one of
    `batch_dims` keeps G groups apart.
    """
    shape, static = tf.shape(x), x.shape
    parts = [
        (shape[:batch_dims], list(static[:batch_dims])),
        (
            tf.reduce_prod(shape[batch_dims:axis], keepdims=True),
            [static[batch_dims:axis].num_elements()],
        ),
        (shape[axis : axis + 1], [static[axis]]),
    ]
    if batch_dims or axis < static.rank - 1:
        after = shape[axis + 1 :], static[axis + 1 :]
        parts.append((tf.reduce_prod(after[0], keepdims=True), [after[1].num_elements()]))
    flat = tf.reshape(x, tf.concat([dynamic for dynamic, _ in parts], 0))
    flat.set_shape([size for _, sizes in parts for size in sizes])
    return flat


def unflatten(flat: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Undo `flatten`: the shape and dtype of `x`, of which it was made."""
    y = tf.cast(tf.reshape(flat, tf.shape(x)), x.dtype)
    y.set_shape(x.shape)
    return y


def column(v: tf.Tensor, flat: tf.Tensor) -> tf.Tensor:
    """`[C]` or `[G, C]`, to be broadcast against a `flatten`ed tensor."""
    return v if flat.shape.rank == 2 else v[..., tf.newaxis, :, tf.newaxis]


def channel_count(flat: tf.Tensor) -> tf.Tensor:
    """How many values a channel of a `flatten`ed tensor has."""
    shape = tf.shape(flat)
    after = 1 if flat.shape.rank == 2 else shape[-1]
    return tf.cast(shape[-2 if flat.shape.rank == 2 else -3] * after, flat.dtype)


def channel_sum(flat: tf.Tensor) -> tf.Tensor:
    """Sum a `flatten`ed tensor to `[C]` or `[G, C]`.

    Blocks of 32 rows are summed in the tensor's dtype, and their sums in float64; float64 itself needs
    none. So no float32 sum is off by more than 32 roundings: a mean 1,000 standard deviations from zero
    by 2e-3 of one, and the variance about it by 4e-6, however many rows there are and however alike.
    """
    rows = flat if flat.shape.rank == 2 else tf.reduce_sum(flat, -1)
    if flat.dtype == tf.float64:
        return tf.reduce_sum(rows, -2)
    shape = tf.shape(rows)
    whole = shape[-2] // _BLOCK * _BLOCK
    blocks = tf.concat([shape[:-2], [whole // _BLOCK, _BLOCK], shape[-1:]], 0)
    sums = tf.reduce_sum(tf.reshape(rows[..., :whole, :], blocks), -2)
    rest = tf.reduce_sum(rows[..., whole:, :], -2)
    total = tf.reduce_sum(tf.cast(sums, tf.float64), -2) + tf.cast(rest, tf.float64)
    return tf.cast(total, flat.dtype)
