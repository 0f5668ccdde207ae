"""Run a layer, with its gradients, in each of the modes that TensorFlow has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

MODES = {
    "eager": lambda function: function,
    "graph": tf.function,
    "xla": lambda function: tf.function(function, jit_compile=True),
}


class Step(NamedTuple):
    """What one call of a layer gives: y, and the gradients of sum(y dy)."""

    y: np.ndarray
    dx: np.ndarray
    weights: list[np.ndarray]


def step_function(layer, mode="eager", training=True):
    """(x, dy, mask) -> y, dx and the gradients of the trainable weights."""

    def step(x, dy, mask=None):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training, mask=mask)
        dx, *weights = tape.gradient(
            y,
            [x, *(weight.value for weight in layer.trainable_weights)],
            dy,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return y, dx, weights

    return MODES[mode](step)


def run(layer, x, dy=None, mask=None, *, mode="eager", training=True) -> Step:
    """One call of a layer that is built if need be."""
    dtype = layer.compute_dtype
    x = tf.cast(x, dtype)
    dy = tf.zeros_like(x) if dy is None else tf.cast(dy, dtype)
    mask = None if mask is None else tf.constant(mask)
    if not layer.built:
        layer.build(x.shape)
    y, dx, weights = step_function(layer, mode, training)(x, dy, mask)
    return Step(y.numpy(), dx.numpy(), [weight.numpy() for weight in weights])


def assert_weights(layer, expected):
    """The weights of the layer, or the model, are bit for bit those."""
    weights = layer.get_weights()
    assert len(weights) == len(expected)
    for weight, value in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(weight, value)
