"""Normalization by the batch's own statistics, as fast as each device and mode allows.

The functions here take what `flatten` gives, `[A, C]` or `[A, C, B]`. Each is a formula that asks for sums
over the rows, and there are two ways to make them. `Plain` is for small tensors and for GPUs. On a CPU large
tensors are a matter of memory: `Blocks` is a form that XLA makes loops of which read their inputs once and
write next to nothing. Where the model is not compiled by XLA, the formula is, once for each number of rows.

TensorFlow's fused kernel is not used: it sums row by row in float32, so that its variance of 4,096 values is
off by 3e-5, and by 5e-4 where the mean is 1,000 standard deviations from zero.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from tfnorm._tensorflow import custom_gradient
from tfnorm.ops.moments import Moments, channel_count, column, flat_moments
from tfnorm.ops.xla import in_xla, stored

# From so many elements on, `Blocks` is the faster one, and saves in some hundred steps what it costs to
# compile it where nobody else compiles: 0.3 s for a number of rows.
_LARGE = 2**16
# Up to so many elements, and so few rows that a sum in float32 is good enough, `Blocks` writes what is
# summed as well: that is faster than to compute for each sum anew what they share.
_WRITTEN = 2**20
_WRITTEN_ROWS = 2**13

Tensors = tuple[tf.Tensor, ...]
Function = Callable[..., Tensors]


def normalize_by_batch(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, Moments]:
    """Batch normalization of a `flatten`ed tensor, and the moments, through which no gradient flows.

    r = 1 / sqrt(var_B + epsilon),    x_hat = (x - mu_B) r,    y = gamma x_hat + beta
    dL/dx = gamma r (dy - sum(dy) / m - x_hat sum(dy x_hat) / m)
    """

    @custom_gradient
    def normalize(x, gamma, beta):
        y, mean, squares = _by_size(_normalize, x, gamma, beta, epsilon)

        def gradient(dy, *_):
            def fast(dy, x, gamma):
                return _by_size(_normalize_gradient, dy, x, gamma, mean, squares, epsilon)

            def exact(dy, x, gamma):
                own = flat_moments(x)
                return _normalize_gradient(Plain, dy, x, gamma, own.mean, own.squares, epsilon)

            return _with_gradient_of(exact, fast)(dy, x, gamma)

        return (y, mean, squares), gradient

    y, mean, squares = normalize(x, gamma, beta)
    return y, Moments(channel_count(x), mean, squares)


def dice_by_batch(x: tf.Tensor, alpha: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, Moments]:
    """Dice of a `flatten`ed tensor, and the moments, through which no gradient flows.

        x_hat = (x - mu_B) / sqrt(var_B + epsilon),    p = sigmoid(x_hat),    y = x (alpha + (1 - alpha) p)

    The backward pass keeps `x` and the statistics, and computes the rest again.
    """

    @custom_gradient
    def activate(x, alpha):
        y, mean, squares = _by_size(_dice, x, alpha, epsilon)

        def gradient(dy, *_):
            def fast(dy, x, alpha):
                return _by_size(_dice_gradient, dy, x, alpha, mean, squares, epsilon)

            def exact(dy, x, alpha):
                own = flat_moments(x)
                return _dice_gradient(Plain, dy, x, alpha, own.mean, own.squares, epsilon)

            return _with_gradient_of(exact, fast)(dy, x, alpha)

        return (y, mean, squares), gradient

    y, mean, squares = activate(x, alpha)
    return y, Moments(channel_count(x), mean, squares)


class Plain:
    """Sums over all but the channels, an op each."""

    @staticmethod
    def moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean, and the sum of the squared deviations from it."""
        if x.shape.rank != 2:
            own = flat_moments(x)
            return own.mean, own.squares
        total = tf.reduce_sum(tf.cast(x, tf.float64), 0)
        mean = tf.math.divide_no_nan(total, tf.cast(channel_count(x), tf.float64))
        mean = tf.cast(mean, x.dtype)
        squares = tf.reduce_sum(tf.cast(tf.square(x - mean), tf.float64), 0)
        return mean, tf.cast(squares, x.dtype)

    @staticmethod
    def sums(parts: Function, summands: Function, *flats: tf.Tensor) -> tuple[Tensors, Tensors]:
        """The sum of each of `summands(*parts(*flats))`, and `parts(*flats)`."""
        found = parts(*flats)
        axes = 0 if flats[0].shape.rank == 2 else [0, 2]
        return [tf.reduce_sum(v, axes) for v in summands(*found)], found


class Blocks:
    """The same of `[A, C]`, in loops that XLA does not take apart: it would first write what is summed."""

    @staticmethod
    def moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Sixteen equal numbers have an exact sum, so that a constant channel is normalized to 0.
        total = _sum_of_blocks(lambda x: x, x, rows=16, dtype=tf.float64)
        mean = tf.math.divide_no_nan(total, tf.cast(channel_count(x), tf.float64))
        mean = stored(tf.cast(mean, x.dtype))
        squares = _sum_of_blocks(lambda x: tf.square(x - mean), x, rows=16, dtype=tf.float64)
        return mean, tf.cast(squares, x.dtype)

    @staticmethod
    def sums(parts: Function, summands: Function, *flats: tf.Tensor) -> tuple[Tensors, Tensors]:
        found = parts(*flats)
        count, channels = len(summands(*found)), flats[0].shape[1]
        place = tf.range(count)[:, tf.newaxis]

        def results(*flats: tf.Tensor) -> tf.Tensor:
            """`[rows, count, C]` by one expression: what the results share, XLA would keep in memory."""
            repeated = (tf.tile(x[:, tf.newaxis], (1, count, 1)) for x in flats)
            values = summands(*parts(*(tf.reshape(x, (-1, channels)) for x in repeated)))
            first, *others = (tf.reshape(v, (-1, count, channels)) for v in values)
            for i, other in enumerate(others, start=1):
                first = tf.where(place == i, other, first)
            return first

        sums = _by_shape(
            lambda size, rows: (size <= _WRITTEN) & (rows <= _WRITTEN_ROWS),
            flats[0],
            lambda: [tf.reduce_sum(v, 0) for v in summands(*found)],
            lambda: tf.unstack(_sum_of_blocks(results, *flats, rows=8, dtype=flats[0].dtype)),
        )
        return sums, found


def _sum_of_blocks(
    function: Callable[..., tf.Tensor], *flats: tf.Tensor, rows: int, dtype: tf.DType
) -> tf.Tensor:
    """The sum of `function(*flats)`: of so many rows, a power of 2, by pairs, then of those in `dtype`."""
    # Traced once for all the rows of a block: that takes longer than to compile it.
    function = tf.function(function, autograph=False)
    whole = tf.shape(flats[0])[0] // rows * rows
    blocks = (tf.reshape(x[:whole], (-1, rows, x.shape[1])) for x in flats)
    sums = [function(*row) for row in zip(*(tf.unstack(b, axis=1) for b in blocks), strict=True)]
    while len(sums) > 1:
        sums = [a + b for a, b in zip(sums[::2], sums[1::2], strict=True)]
    rest = function(*(x[whole:] for x in flats))
    return tf.reduce_sum(tf.cast(sums[0], dtype), 0) + tf.reduce_sum(tf.cast(rest, dtype), 0)


def _normalize(how: type, x, gamma, beta, epsilon: float) -> Tensors:
    mean, squares = how.moments(x)
    variance = tf.math.divide_no_nan(squares, channel_count(x))
    scale = stored(gamma * tf.math.rsqrt(variance + epsilon))
    return (x - column(mean, x)) * column(scale, x) + column(beta, x), mean, squares


def _normalize_gradient(how: type, dy, x, gamma, mean, squares, epsilon: float) -> Tensors:
    m = channel_count(x)
    r = tf.math.rsqrt(tf.math.divide_no_nan(squares, m) + epsilon)
    (dbeta, of_x), (_, deviations) = how.sums(
        lambda dy, x: (dy, x - column(mean, x)), lambda dy, d: (dy, dy * d), dy, x
    )
    dgamma = r * of_x
    scale = stored(gamma * r)
    of_mean = stored(tf.math.divide_no_nan(scale * dbeta, m))
    of_scale = stored(tf.math.divide_no_nan(scale * r * dgamma, m))
    dx = column(scale, x) * dy - column(of_mean, x) - deviations * column(of_scale, x)
    return dx, dgamma, dbeta


def _dice(how: type, x, alpha, epsilon: float) -> Tensors:
    mean, squares = how.moments(x)
    variance = tf.math.divide_no_nan(squares, channel_count(x))
    r = stored(tf.math.rsqrt(variance + epsilon))
    p = tf.sigmoid((x - column(mean, x)) * column(r, x))
    return x * (column(alpha, x) + column(1 - alpha, x) * p), mean, squares


def _dice_gradient(how: type, dy, x, alpha, mean, squares, epsilon: float) -> Tensors:
    m = channel_count(x)
    r = stored(tf.math.rsqrt(tf.math.divide_no_nan(squares, m) + epsilon))

    # By 1 - p, which XLA does not take for the p of the forward pass: that would be kept in memory.
    def parts(dy, x):
        x_hat = (x - column(mean, x)) * column(r, x)
        rest = tf.sigmoid(-x_hat)
        dalpha = dy * x * rest
        return x_hat, rest, dalpha, dalpha * (1 - rest)

    def summands(x_hat, _, dalpha, dx_hat):
        return dalpha, dx_hat, dx_hat * x_hat

    (dalpha, *sums), (x_hat, rest, _, dx_hat) = how.sums(parts, summands, dy, x)
    of_mean, of_scale = (stored(tf.math.divide_no_nan(v, m)) for v in sums)
    direct = dy * (1 - column(1 - alpha, x) * rest)
    through_x_hat = column(1 - alpha, x) * (
        dx_hat - column(of_mean, x) - x_hat * column(of_scale, x)
    )
    # A division comes last because XLA never repeats one: of a deep model's gradients it would.
    stddev = stored(1 / r)
    return (direct * column(stddev, x) + through_x_hat) / column(stddev, x), dalpha


def _with_gradient_of(exact: Callable, fast: Callable) -> Callable:
    """`fast`, with the gradient of `exact`, which computes the same in differentiable ops."""

    @custom_gradient
    def function(*inputs):
        def gradient(*upstream):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = exact(*inputs)
            return tape.gradient(
                outputs, inputs, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )

        return fast(*inputs), gradient

    return function


def _by_size(formula: Callable, *inputs) -> Tensors:
    """`formula` by the sums that suit the size of its first input."""
    # Eager tapes look into a custom gradient's function, and make a tf.function keep what it computes.
    inputs = [tf.stop_gradient(v) if tf.is_tensor(v) else v for v in inputs]
    x = inputs[0]
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    if on_gpu or x.shape.rank != 2 or not tf.test.is_built_with_xla():
        return formula(Plain, *inputs)
    blocks = formula if in_xla() else _compiled(formula, x.shape[1])
    return _by_shape(
        lambda size, rows: size >= _LARGE,
        x,
        lambda: blocks(Blocks, *inputs),
        lambda: formula(Plain, *inputs),
    )


def _by_shape(condition: Callable, x: tf.Tensor, yes: Callable, no: Callable):
    """`yes()` or `no()`, by `condition(size, rows)` of `x`."""
    if (size := x.shape.num_elements()) is not None:
        return yes() if condition(size, x.shape[0]) else no()
    # XLA knows the shape when it compiles, and leaves the other branch out.
    return tf.cond(condition(tf.size(x), tf.shape(x)[0]), yes, no)


@functools.cache
def _compiled(formula: Callable, channels: int) -> Callable:
    """One function for each number of channels, which takes any number of rows without a new trace."""
    return tf.function(formula, jit_compile=True, reduce_retracing=True, autograph=False)
