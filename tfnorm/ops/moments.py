"""The mean and the variance of each channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.ops.xla import computed_once

Tensors = tuple[tf.Tensor, ...]
Function = Callable[..., tf.Tensor]
Along = Callable[[tf.Tensor], tf.Tensor]
"""Lays a `[C]` along the channels of a tensor."""


class Moments(NamedTuple):
    """What a set of values leaves behind; two of them can be merged without loss.

    M2 is the sum of the squared deviations from the mean. Each is `[C]`, or `[G, C]` where G groups of rows
    are kept apart; one count may stand for all channels.
    """

    count: tf.Tensor
    mean: tf.Tensor
    M2: tf.Tensor

    @property
    def variance(self) -> tf.Tensor:
        """The biased variance; 0 where there is no value."""
        return tf.math.divide_no_nan(self.M2, self.count)


class Sums(Protocol):
    """How a `flatten`ed tensor is summed to a value a channel."""

    @staticmethod
    def total(function: Function, *flats: tf.Tensor) -> tf.Tensor:
        """The sum of `function(*flats)`, in float64."""

    @staticmethod
    def several(
        parts: Callable[..., Tensors], summands: Callable[..., Tensors], *flats: tf.Tensor
    ) -> tuple[Tensors, Tensors]:
        """The sum of each of `summands(*parts(*flats))`, and `parts(*flats)`."""


class Exact:
    """An op for each sum: what any other sums are equal to."""

    @staticmethod
    def total(function: Function, *flats: tf.Tensor) -> tf.Tensor:
        values = function(*flats)
        return tf.reduce_sum(tf.cast(values, tf.float64), _summed_axes(values))

    @staticmethod
    def several(
        parts: Callable[..., Tensors], summands: Callable[..., Tensors], *flats: tf.Tensor
    ) -> tuple[Tensors, Tensors]:
        found = parts(*flats)
        return tuple(tf.reduce_sum(v, _summed_axes(v)) for v in summands(*found)), found


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
        mask: bool, of the shape `x.shape[:-1]`, or of size 1 along any of its axes. Positions where it
            is False don't count. None where all do.

    Returns:
        `mean` and `variance`, each `[C]`, in float32, or float64 if `x` is float64. Both are 0 for a
        channel without values.

    Raises:
        InputError: `mask` can't be broadcast to `x.shape[:-1]`.

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
    """Count, mean and M2 of every channel, apart for each of `batch_dims` axes."""
    x = tf.cast(x, statistics_dtype(x.dtype))
    flat = flatten(x, axis % x.shape.rank, batch_dims)
    own = flat_moments(flat, flat_mask(mask, x, axis, batch_dims))
    return own._replace(count=tf.broadcast_to(own.count, tf.shape(own.mean)))


def flat_moments(
    flat: tf.Tensor, counted: tf.Tensor | None = None, sums: type[Sums] = Exact
) -> Moments:
    """The moments of the channels of a `flatten`ed tensor, where `counted` holds.

    mu = sum(x) / m,    M2 = sum((x - mu)^2)
    """
    count = flat_count(flat, counted)

    # What doesn't count is taken out before it is squared: a NaN there has no way to a gradient.
    def value(x: tf.Tensor, counts: tf.Tensor | None = None) -> tf.Tensor:
        return only(counts, x)

    def squared_deviation(x: tf.Tensor, counts: tf.Tensor | None = None) -> tf.Tensor:
        return tf.square(only(counts, only(counts, x) - column(mean, x)))

    flats = (flat,) if counted is None else (flat, counted)
    mean = tf.math.divide_no_nan(sums.total(value, *flats), tf.cast(count, tf.float64))
    mean = computed_once(tf.cast(mean, flat.dtype))
    M2 = sums.total(squared_deviation, *flats)
    return Moments(count, mean, tf.cast(M2, flat.dtype))


def flat_count(flat: tf.Tensor, counted: tf.Tensor | None) -> tf.Tensor:
    """How many values a channel of a `flatten`ed tensor has: a number for all, or one for each."""
    if counted is not None:
        total = tf.reduce_sum(tf.cast(counted, tf.float64), _summed_axes(flat))
        return tf.cast(total, flat.dtype)
    shape = tf.shape(flat)
    after = 1 if flat.shape.rank == 2 else shape[-1]
    return tf.cast(shape[-2 if flat.shape.rank == 2 else -3] * after, flat.dtype)


def flat_mask(
    mask: tf.Tensor | None, x: tf.Tensor, axis: int, batch_dims: int = 0
) -> tf.Tensor | None:
    """`mask`, to be broadcast against the `flatten`ed `x`."""
    if mask is None:
        return None
    mask = broadcast_mask(mask, x)
    axis %= x.shape.rank
    if axis == x.shape.rank - 1 and not batch_dims:
        return tf.reshape(mask, [-1, 1])
    return flatten(tf.broadcast_to(mask, tf.shape(x)), axis, batch_dims)


def only(counted: tf.Tensor | None, v: tf.Tensor) -> tf.Tensor:
    """`v`, with 0 for what doesn't count."""
    return v if counted is None else tf.where(counted, v, tf.zeros((), v.dtype))


def merge(parts: Moments) -> Moments:
    """One set of moments from several, stacked along the first axis: counts merge, not averages."""
    count = tf.reduce_sum(parts.count, 0)
    rough = tf.math.divide_no_nan(tf.reduce_sum(parts.count * parts.mean, 0), count)
    shift = tf.math.divide_no_nan(tf.reduce_sum(parts.count * (parts.mean - rough), 0), count)
    mean = rough + shift
    between = tf.reduce_sum(parts.count * tf.square(parts.mean - mean), 0)
    return Moments(count, mean, tf.reduce_sum(parts.M2, 0) + between)


def statistics_dtype(dtype: tf.DType) -> tf.DType:
    """float64 for float64, float32 for all that is narrower."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def wide(x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """`x` in the dtype of its statistics, with 0 for what is neither counted nor finite.

    Widened once, for all its uses, so that their gradients meet before they are rounded to the dtype
    of `x`. A NaN would make NaN even of the gradient 0 that reaches what doesn't count.
    """
    x = tf.cast(x, statistics_dtype(x.dtype))
    if mask is None:
        return x
    return tf.where(broadcast_mask(mask, x) | tf.math.is_finite(x), x, tf.zeros((), x.dtype))


def along_axis(x: tf.Tensor, axis: int) -> Along:
    """Reshapes `[C]`, or `[G, C]` where axis 0 keeps G groups apart, to be broadcast along `axis` of `x`."""
    rank = x.shape.rank

    def along(v: tf.Tensor) -> tf.Tensor:
        if v.shape.rank == 1 and axis in (-1, rank - 1):
            return v
        shape = [1] * rank
        shape[axis] = v.shape[-1]
        if v.shape.rank == 2:
            shape[0] = -1
        return tf.reshape(v, shape)

    return along


def along_columns(flat: tf.Tensor) -> Along:
    """Reshapes `[C]` or `[G, C]` to be broadcast against a `flatten`ed tensor."""
    return lambda v: column(v, flat)


def broadcast_mask(mask: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """`mask` as `[..., 1]`, to be broadcast along the last axis of `x`."""
    mask = tf.cast(mask, tf.bool)
    check_mask(mask, x)
    return tf.broadcast_to(mask, tf.shape(x)[:-1])[..., tf.newaxis]


def check_mask(mask: tf.Tensor, x: tf.Tensor) -> None:
    """Raise InputError unless `mask` has an axis for each of x but the last, as long as that or 1."""
    shape, wanted = tf.TensorShape(mask.shape), x.shape[:-1]
    if shape.rank is None:
        return
    if shape.rank != wanted.rank or not all(
        n in (None, 1, m) or m is None for n, m in zip(shape, wanted, strict=True)
    ):
        raise InputError(
            f"mask must have the shape of the inputs without the last axis, {wanted}, or one "
            f"broadcastable to it of as many axes; it has the shape {shape}"
        )


def flatten(x: tf.Tensor, axis: int, batch_dims: int = 0) -> tf.Tensor:
    """`x` with the axes before and after the channels, A and B, in one axis each.

    It is `[A, C]` if the channels are last, else `[A, C, B]`, and `[G, A, C, B]` where one of
    `batch_dims` keeps G groups apart.
    """
    if x.shape.rank == 2 and axis == 1 and not batch_dims:
        return x
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
    y = flat if flat.shape.rank == x.shape.rank == 2 else tf.reshape(flat, tf.shape(x))
    y = tf.cast(y, x.dtype)
    y.set_shape(x.shape)
    return y


def column(v: tf.Tensor, flat: tf.Tensor) -> tf.Tensor:
    """`[C]` or `[G, C]`, to be broadcast against a `flatten`ed tensor."""
    return v if flat.shape.rank == 2 else v[..., tf.newaxis, :, tf.newaxis]


def _summed_axes(flat: tf.Tensor) -> list[int]:
    """All but the channels, and the groups that are kept apart."""
    return {2: [0], 3: [0, 2], 4: [1, 3]}[flat.shape.rank]
