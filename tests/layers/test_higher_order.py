"""Gradients of gradients, and of what is computed again."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close
from running import MODES

from tfnorm.layers import BatchNormalization, Dice

LAYERS = pytest.mark.parametrize("Layer", [BatchNormalization, Dice])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def plain(layer, x, training, mask=None):
    """The same layer in ops that TensorFlow differentiates by itself."""
    if training:
        weights = tf.ones_like(x) if mask is None else tf.cast(mask, x.dtype)[:, None] + 0 * x
        count = tf.reduce_sum(weights, 0)
        mean = tf.reduce_sum(weights * x, 0) / count
        variance = tf.reduce_sum(weights * (x - mean) ** 2, 0) / count
    else:
        mean, variance = layer.moving_mean.value, layer.moving_variance.value
    x_hat = (x - mean) / tf.sqrt(variance + layer.epsilon)
    if isinstance(layer, Dice):
        p = tf.sigmoid(x_hat)
        return p * x + (1 - p) * layer.alpha.value * x
    return layer.gamma.value * x_hat + layer.beta.value


def penalty_gradients(call, layer, x):
    """Of a gradient penalty: d/dx and d/dweights of sum((dL/dx)^2), and dL/dx."""
    weights = [weight.value for weight in layer.trainable_weights]
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(tf.sin(call(x)))
        slope = inner.gradient(loss, x)
        penalty = tf.reduce_sum(slope**2)
    return slope, *outer.gradient(
        penalty, [x, *weights], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )


def penalty(layer, x):
    """The penalty itself, at a NumPy array."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.sin(layer(x, training=True)))
    return np.sum(tape.gradient(loss, x) ** 2)


def make(Layer, channels, **arguments):
    layer = Layer(**arguments)
    layer.build((None, channels))
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return layer


@LAYERS
@pytest.mark.parametrize(
    ("mode", "arguments"),
    [
        *((mode, {"rows": 4096}) for mode in MODES),
        ("eager", {}),
        ("xla", {}),
        ("eager", {"synchronized": True}),
        ("eager", {"masked": True}),
        ("eager", {"training": False}),
    ],
    ids=str,
)
def test_a_gradient_penalty_is_that_of_plain_ops(Layer, mode, arguments, rng):
    """Also of a batch that is large enough for a fused kernel."""
    rows, training = arguments.get("rows", 9), arguments.get("training", True)
    channels = 8 if rows > 9 else 3
    layer = make(Layer, channels, epsilon=0.1, synchronized=arguments.get("synchronized", False))
    x = tf.constant(rng.normal(1, 2, (rows, channels)), tf.float32)
    mask = tf.constant(rng.random(rows) < 0.7) if arguments.get("masked") else None
    found = MODES[mode](
        lambda x: penalty_gradients(lambda x: layer(x, training=training, mask=mask), layer, x)
    )(x)
    expected = penalty_gradients(
        lambda x: plain(layer, x, training, mask), layer, tf.cast(x, tf.float32)
    )
    for gradient, value in zip(found, expected, strict=True):
        assert_close(gradient, value, 2e-5)


@LAYERS
def test_a_gradient_penalty_is_that_of_central_differences(Layer, rng):
    layer = make(Layer, 2, epsilon=0.1, dtype="float64")
    x = rng.normal(1, 2, (5, 2))
    _, dx, *_ = penalty_gradients(lambda x: layer(x, training=True), layer, tf.constant(x))
    assert_close(dx, oracles.gradient(lambda x: penalty(layer, x), x), 1e-7)


def test_a_gradient_penalty_through_ghost_batches_is_that_of_central_differences(rng):
    layer = make(BatchNormalization, 2, epsilon=0.1, dtype="float64", virtual_batch_size=2)
    x = rng.normal(1, 2, (5, 2))
    _, dx, *_ = penalty_gradients(lambda x: layer(x, training=True), layer, tf.constant(x))
    assert_close(dx, oracles.gradient(lambda x: penalty(layer, x), x), 1e-7)


def test_a_gradient_penalty_through_renorm_is_that_of_plain_ops(rng):
    """r and d are constants in all gradients."""
    layer = make(BatchNormalization, 2, epsilon=0.1, renorm=True)
    x = tf.constant(rng.normal(1, 2, (5, 2)), tf.float32)
    running_mean, running_stddev = layer.renorm_mean.numpy(), layer.renorm_stddev.numpy()

    def renormalized(x):
        mean = tf.reduce_mean(x, 0)
        stddev = tf.sqrt(tf.reduce_mean((x - mean) ** 2, 0) + layer.epsilon)
        r = tf.stop_gradient(stddev / running_stddev)
        d = tf.stop_gradient((mean - running_mean) / running_stddev)
        return layer.gamma.value * ((x - mean) / stddev * r + d) + layer.beta.value

    expected = penalty_gradients(renormalized, layer, x)
    found = penalty_gradients(lambda x: layer(x, training=True), layer, x)
    for gradient, value in zip(found, expected, strict=True):
        assert_close(gradient, value, 2e-5)


@LAYERS
def test_a_third_derivative_is_that_of_plain_ops(Layer, rng):
    layer = make(Layer, 2, epsilon=0.1)
    x = tf.constant(rng.normal(1, 2, (5, 2)), tf.float32)

    def third(call):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, dx, *_ = penalty_gradients(call, layer, x)
            total = tf.reduce_sum(dx**2)
        return tape.gradient(total, x)

    found = third(lambda x: layer(x, training=True))
    assert_close(found, third(lambda x: plain(layer, x, True)), 1e-4)


@LAYERS
@pytest.mark.parametrize(
    ("mode", "rows"), [("eager", 9), ("eager", 4096), ("graph", 4096), ("xla", 9)]
)
def test_recompute_grad_gives_the_same_gradients(Layer, mode, rows, rng):
    """And it may, as it computes the layer again, move the statistics again: towards the same batch."""
    layer = make(Layer, 8)
    x = tf.constant(rng.normal(1, 2, (rows, 8)), tf.float32)
    weights = [weight.value for weight in layer.trainable_weights]

    def gradients(call):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(x)
            loss = tf.reduce_sum(tf.sin(y))
        return y, *tape.gradient(loss, [x, *weights])

    call = lambda x: layer(x, training=True)  # noqa: E731
    found = MODES[mode](lambda: gradients(tf.recompute_grad(call)))()
    expected = gradients(lambda x: plain(layer, x, True))
    for gradient, value in zip(found, expected, strict=True):
        assert_close(gradient, value, 1e-5)
