"""Both layers by the batch's own statistics, with gradients that keep nothing but their inputs.

Forward and backward are computed by the sums that suit the device, the mode and the size. The derivatives of
a gradient, and all derivatives in forward mode, are those of the exact sums.

TensorFlow's fused kernel is not used: it sums row by row in float32, so that its variance of 4,096 values is
off by 3e-5, and by 5e-4 where the mean is 1,000 standard deviations from zero.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfnorm._tensorflow import custom_gradient, followed_in_forward_mode
from tfnorm.ops.loops import by_size
from tfnorm.ops.moments import Exact, Moments, Tensors, flat_count, flat_moments

Gradient = Callable[..., Tensors]


def by_batch(
    forward: Callable[..., tuple[tf.Tensor, Moments]],
    backward: Gradient,
    x: tf.Tensor,
    *weights: tf.Tensor,
    counted: tf.Tensor | None,
    epsilon: float,
) -> tuple[tf.Tensor, Moments]:
    """`forward` of a `flatten`ed x, with the gradient `backward`; none flows through the moments.

    Args:
        forward: (sums, x, *weights, counted, epsilon) -> y and the moments of x.
        backward: (sums, dy, x, *weights, own, counted, epsilon) -> the gradients of x and the weights.
        x: `[A, C]` or `[A, C, B]`.
        weights: each `[C]`.
        counted: what counts of x, to be broadcast against it; None for all.
        epsilon: of the normalization.
    """
    if followed_in_forward_mode(x, *weights):
        return forward(Exact, x, *weights, counted, epsilon)
    count = flat_count(x, counted)

    def function(x: tf.Tensor, *weights: tf.Tensor) -> tuple[Tensors, Gradient]:
        y, own = by_size(forward, x, *weights, counted, epsilon)

        def gradient(dy: tf.Tensor, *_: tf.Tensor) -> Tensors:
            # TensorFlow derives this in forward mode where all of it is of the graph that it is made in.
            moments = Moments(*map(tf.identity, (count, own.mean, own.M2)))
            counts = None if counted is None else tf.identity(counted)

            def fast(dy: tf.Tensor, *inputs: tf.Tensor) -> Tensors:
                gradients: Tensors = by_size(backward, dy, *inputs, moments, counts, epsilon)
                return gradients

            def exact(dy: tf.Tensor, x: tf.Tensor, *weights: tf.Tensor) -> Tensors:
                again = flat_moments(x, counts)
                return backward(Exact, dy, x, *weights, again, counts, epsilon)

            return _with_gradient_of(exact, fast)(*map(tf.identity, (dy, x, *weights)))

        return (y, own.mean, own.M2), gradient

    y, mean, M2 = custom_gradient(function)(x, *weights)
    return y, Moments(count, mean, M2)


def _with_gradient_of(exact: Gradient, fast: Gradient) -> Gradient:
    """`fast`, with the gradient of `exact`, which computes the same in differentiable ops."""

    def function(*inputs: tf.Tensor) -> tuple[Tensors, Gradient]:
        def gradient(*upstream: tf.Tensor) -> Tensors:
            zero = tf.UnconnectedGradients.ZERO
            if not tf.executing_eagerly():
                # An accumulator of forward mode may be at work here, and then no tape records.
                own = [tf.identity(v) for v in inputs]
                return tuple(
                    tf.gradients(exact(*own), own, list(upstream), unconnected_gradients=zero)
                )
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = exact(*inputs)
            return tuple(tape.gradient(outputs, inputs, upstream, unconnected_gradients=zero))

        return fast(*inputs), gradient

    differentiable: Gradient = custom_gradient(function)
    return differentiable
