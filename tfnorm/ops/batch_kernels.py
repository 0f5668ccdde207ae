"""Normalization by the batch's own statistics, as fast as each device and mode allows.

The functions here take what `flatten` gives, `[A, C]` or `[A, C, B]`. Each has a formula in plain ops,
which XLA fuses and any order of gradient follows. On a CPU without XLA, where an op is a pass over memory,
larger gradients of batch normalization go through TensorFlow's fused kernel, and larger Dice through its
formula compiled for the occasion. The fused kernel's own statistics are not used: summed one by one in
float32, its variance of 65,536 values is off by 4e-4.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from tfnorm.ops.moments import Moments, channel_count, column, flat_moments

# Below so many elements, starting a fused kernel costs more than it saves.
_FUSED_FROM = 2**15
# Its sums run over the rows one by one in float32: past so many they lose the fifth digit.
_FUSED_ROWS = 2**13
# Below so many elements, compiling for each new shape costs more than it saves.
_COMPILED_FROM = 2**18

Tensors = tuple[tf.Tensor, ...]


def normalize_by_batch(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, Moments]:
    """Batch normalization of a `flatten`ed tensor, and the moments, through which no gradient flows.

    r = 1 / sqrt(var_B + epsilon),    x_hat = (x - mu_B) r,    y = gamma x_hat + beta
    dL/dx = gamma r (dy - sum(dy) / m - x_hat sum(dy x_hat) / m)
    """

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        y, mean, squares = _normalize_formula(x, gamma, beta, epsilon)

        def gradient(dy, *_):
            def fast(dy, x, gamma):
                return _normalize_gradient(dy, x, gamma, mean, squares, epsilon)

            def exact(dy, x, gamma):
                own = flat_moments(x)
                return _normalize_gradient_formula(dy, x, gamma, own.mean, own.squares, epsilon)

            return _with_gradient_of(exact, fast)(dy, x, gamma)

        return (y, mean, squares), gradient

    y, mean, squares = normalize(x, gamma, beta)
    return y, Moments(tf.fill(tf.shape(mean), channel_count(x)), mean, squares)


def dice_by_batch(x: tf.Tensor, alpha: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, Moments]:
    """Dice of a `flatten`ed tensor, and the moments, through which no gradient flows.

        x_hat = (x - mu_B) / sqrt(var_B + epsilon),    p = sigmoid(x_hat),    y = x (alpha + (1 - alpha) p)

    The backward pass keeps `x` and the statistics, and computes the rest again.
    """

    @tf.custom_gradient
    def activate(x, alpha):
        y, mean, squares = _compiled_if_large(_dice_formula, x, alpha, epsilon)

        def gradient(dy, *_):
            def fast(dy, x, alpha):
                return _compiled_if_large(
                    _dice_gradient_formula, dy, x, alpha, mean, squares, epsilon
                )

            def exact(dy, x, alpha):
                own = flat_moments(x)
                return _dice_gradient_formula(dy, x, alpha, own.mean, own.squares, epsilon)

            return _with_gradient_of(exact, fast)(dy, x, alpha)

        return (y, mean, squares), gradient

    y, mean, squares = activate(x, alpha)
    return y, Moments(tf.fill(tf.shape(mean), channel_count(x)), mean, squares)


def _normalize_gradient(dy, x, gamma, mean, squares, epsilon: float) -> Tensors:
    def formula() -> Tensors:
        return _normalize_gradient_formula(dy, x, gamma, mean, squares, epsilon)

    if not _has_fused_kernel(x):
        return formula()

    def fused() -> Tensors:
        found = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=_images(dy),
            x=_images(x),
            scale=gamma,
            reserve_space_1=mean,
            reserve_space_2=squares / tf.cast(tf.shape(x)[0], x.dtype),
            reserve_space_3=tf.constant([], x.dtype),
            epsilon=epsilon,
            is_training=True,
        )
        dx = tf.reshape(found.x_backprop, tf.shape(x))
        return dx, found.scale_backprop, found.offset_backprop

    return tf.cond(_worth_fusing(x), fused, formula)


def _normalize_formula(x, gamma, beta, epsilon: float) -> Tensors:
    own = flat_moments(x)
    scale = gamma * tf.math.rsqrt(own.variance + epsilon)
    y = (x - column(own.mean, x)) * column(scale, x) + column(beta, x)
    return y, own.mean, own.squares


def _normalize_gradient_formula(dy, x, gamma, mean, squares, epsilon: float) -> Tensors:
    m = channel_count(x)
    r = tf.math.rsqrt(tf.math.divide_no_nan(squares, m) + epsilon)
    x_hat = (x - column(mean, x)) * column(r, x)
    dgamma, dbeta = _sum(dy * x_hat), _sum(dy)
    of_mean, of_scale = (column(tf.math.divide_no_nan(s, m), x) for s in (dbeta, dgamma))
    return column(gamma * r, x) * (dy - of_mean - x_hat * of_scale), dgamma, dbeta


def _dice_formula(x, alpha, epsilon: float) -> Tensors:
    own = flat_moments(x)
    r = tf.math.rsqrt(own.variance + epsilon)
    p = tf.sigmoid((x - column(own.mean, x)) * column(r, x))
    return x * (column(alpha, x) + column(1 - alpha, x) * p), own.mean, own.squares


def _dice_gradient_formula(dy, x, alpha, mean, squares, epsilon: float) -> Tensors:
    m = channel_count(x)
    r = tf.math.rsqrt(tf.math.divide_no_nan(squares, m) + epsilon)
    x_hat = (x - column(mean, x)) * column(r, x)
    p = tf.sigmoid(x_hat)
    dalpha = dy * x * (1 - p)
    dx_hat = dalpha * p
    of_mean, of_scale = (
        column(tf.math.divide_no_nan(_sum(s), m), x) for s in (dx_hat, dx_hat * x_hat)
    )
    dx = dy * (column(alpha, x) + column(1 - alpha, x) * p)
    dx += column((1 - alpha) * r, x) * (dx_hat - of_mean - x_hat * of_scale)
    return dx, _sum(dalpha)


def _with_gradient_of(exact: Callable, fast: Callable) -> Callable:
    """`fast`, with the gradient of `exact`, which computes the same in differentiable ops."""

    @tf.custom_gradient
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


def _compiled_if_large(formula: Callable, *inputs) -> Tensors:
    """`formula(*inputs)`, compiled by XLA where its first input is large and isn't compiled anyway."""
    if _in_xla() or not tf.test.is_built_with_xla():
        return formula(*inputs)
    return tf.cond(
        tf.size(inputs[0]) >= _COMPILED_FROM,
        lambda: _compiled(formula)(*inputs),
        lambda: formula(*inputs),
    )


@functools.cache
def _compiled(formula: Callable) -> Callable:
    return tf.function(formula, jit_compile=True, reduce_retracing=True, autograph=False)


def _has_fused_kernel(x: tf.Tensor) -> bool:
    # XLA lowers it to E[x^2] - E[x]^2, and cuDNN takes no epsilon below 1e-5.
    on_cpu = not tf.config.list_logical_devices("GPU")
    return on_cpu and not _in_xla() and x.dtype == tf.float32 and x.shape.rank == 2


def _worth_fusing(x: tf.Tensor) -> tf.Tensor:
    return (tf.size(x) >= _FUSED_FROM) & (tf.shape(x)[0] <= _FUSED_ROWS)


def _images(x: tf.Tensor) -> tf.Tensor:
    """`[A, C]` as images of up to 8 pixels: the kernels share the images among the threads."""
    rows = tf.shape(x)[0]
    pixels = tf.minimum(tf.bitwise.bitwise_and(rows, -rows), 8)
    return tf.reshape(x, tf.stack([rows // pixels, pixels, 1, x.shape[1]]))


def _in_xla() -> bool:
    # TensorFlow has no public name for it; it traces a function anew where this differs.
    return not tf.executing_eagerly() and control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


def _sum(v: tf.Tensor) -> tf.Tensor:
    """Over all but the channels; a gradient has no mean to cancel, and needs no blocks."""
    return tf.reduce_sum(v, 0 if v.shape.rank == 2 else [0, 2])
