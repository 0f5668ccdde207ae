"""virtual_batch_size and adjustment.

The formulas are those of TF 1's `tf.layers.batch_normalization`. There a ghost batch holds every n-th
row and the size must divide the batch; here it holds consecutive rows and the rest is a smaller one.
"""

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close
from running import MODES, assert_weights, run

from tfnorm.layers import BatchNormalization

EPSILON = 1e-3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normalize(x, size, gamma=1.0, beta=0.0, axis=-1, mask=None, adjustment=(1.0, 0.0)):
    """Each ghost batch by its own moments; and the moments that the moving ones are fed."""
    scale, bias = adjustment
    parts, fed = [], []
    for ghost, counted in oracles.ghost_batches(x, size, mask):
        count, mean, variance = oracles.moments(ghost, axis, counted)
        fed.append((count, mean, variance))
        parts.append(oracles.normalize(ghost, mean, variance, epsilon=EPSILON, axis=axis))
    y = np.concatenate(parts) * scale + bias
    gamma, beta = (oracles.along(v, np.ndim(x), axis) for v in (gamma, beta))
    return gamma * y + beta, fed


def average(fed):
    """The mean over the ghost batches, each weighing by its count; and all that counts."""
    counts, means, variances = (np.array(v) for v in zip(*fed, strict=True))
    total = np.maximum(counts.sum(0), 1)
    return counts.sum(0), (counts * means).sum(0) / total, (counts * variances).sum(0) / total


@pytest.mark.parametrize(
    ("shape", "axis"), [((12, 3), -1), ((7, 3), 1), ((6, 4, 3), 1), ((5, 2, 3, 2), -2)]
)
@pytest.mark.parametrize("size", [1, 3, 5, 12, 100])
def test_values_and_gradients_are_those_of_each_part(shape, axis, size, rng):
    """Also where the size does not divide the batch, or no batch is as large."""
    x = rng.normal(1, 2, shape).astype(np.float32)
    dy = rng.normal(size=shape)
    layer = BatchNormalization(axis=axis, epsilon=EPSILON, virtual_batch_size=size, momentum=0.6)
    layer.build(shape)
    gamma, beta = rng.normal(1, 0.3, (2, shape[axis])).astype(np.float32)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    step = run(layer, x, dy)
    expected, fed = normalize(x, size, gamma, beta, axis)
    assert_close(step.y, expected)

    def loss(x, gamma, beta):
        return np.sum(dy * normalize(x, size, gamma, beta, axis)[0])

    assert_close(step.dx, oracles.gradient(lambda v: loss(v, gamma, beta), x), 1e-4)
    assert_close(step.weights[0], oracles.gradient(lambda v: loss(x, v, beta), gamma))
    assert_close(step.weights[1], oracles.gradient(lambda v: loss(x, gamma, v), beta))
    moving = oracles.MovingStatistics(shape[axis], 0.6)
    moving.update(*average(fed))
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_variance, moving.variance, 1e-6)


def test_the_formulas_are_those_of_tf_1_where_the_rows_are_dealt_out_as_there(rng):
    """TF 1 reshapes the batch to [size, n, ...]: its ghost batch g has the rows g, g + n, g + 2n, ..."""
    size, x = 4, rng.normal(1, 2, (12, 3)).astype(np.float32)
    n = len(x) // size
    dealt = x.reshape(size, n, 3)
    mean, variance = dealt.mean(0, np.float64), dealt.astype(np.float64).var(0)
    expected = ((dealt - mean) / np.sqrt(variance + EPSILON)).reshape(12, 3)
    order = np.arange(12).reshape(size, n).T.ravel()
    layer = BatchNormalization(epsilon=EPSILON, virtual_batch_size=size, momentum=0.0)
    assert_close(layer(x[order], training=True), expected[order])
    assert_close(layer.moving_mean, mean.mean(0), 1e-6)
    assert_close(layer.moving_variance, variance.mean(0), 1e-6)


def test_a_batch_of_one_part_is_normalized_as_without_ghost_batches(rng):
    x = rng.normal(1, 2, (9, 3)).astype(np.float32)
    plain, ghost = BatchNormalization(), BatchNormalization(virtual_batch_size=9)
    assert_close(ghost(x, training=True), plain(x, training=True), 1e-6)
    for weight, expected in zip(ghost.get_weights(), plain.get_weights(), strict=True):
        assert_close(weight, expected, 1e-6)


def test_inference_knows_no_ghost_batches(rng):
    x = rng.normal(1, 2, (9, 3)).astype(np.float32)
    layer = BatchNormalization(virtual_batch_size=2, adjustment=lambda shape: (9.0, 9.0))
    layer(x, training=True)
    expected = oracles.normalize(
        x, layer.moving_mean.numpy(), layer.moving_variance.numpy(), epsilon=1e-3
    )
    assert_close(layer(x, training=False), expected)


def test_the_mask_counts_in_every_part(rng):
    x = rng.normal(1, 2, (7, 4, 3)).astype(np.float32)
    mask = rng.random((7, 4)) < 0.6
    mask[2:4] = False
    dy = rng.normal(size=x.shape)
    layer = BatchNormalization(epsilon=EPSILON, virtual_batch_size=2, momentum=0.0)
    step = run(layer, x, dy, mask)
    expected, fed = normalize(x, 2, mask=mask)
    assert_close(step.y, expected)
    assert_close(
        step.dx, oracles.gradient(lambda v: np.sum(dy * normalize(v, 2, mask=mask)[0]), x), 1e-4
    )
    _, mean, variance = average(fed)
    assert_close(layer.moving_mean, mean, 1e-6)
    assert_close(layer.moving_variance, variance, 1e-6)


def test_garbage_where_the_mask_is_false_reaches_nothing(rng):
    x = rng.normal(1, 2, (7, 4, 3)).astype(np.float32)
    mask = rng.random((7, 4)) < 0.6
    dy = rng.normal(size=x.shape) * mask[..., None]
    layers = [BatchNormalization(virtual_batch_size=2) for _ in range(2)]
    clean, dirty = (
        run(layer, np.where(mask[..., None], x, garbage), dy, mask)
        for layer, garbage in zip(layers, (0.0, np.nan), strict=True)
    )
    assert_close(dirty.y[mask], clean.y[mask], 1e-6)
    assert_close(dirty.dx, clean.dx, 1e-6)
    for weight, expected in zip(dirty.weights, clean.weights, strict=True):
        assert_close(weight, expected, 1e-6)
    assert_weights(layers[1], layers[0].get_weights())


def test_unbiased_variance_is_that_of_each_part(rng):
    x = rng.normal(1, 2, (7, 3)).astype(np.float32)
    layer = BatchNormalization(virtual_batch_size=3, momentum=0.0, unbiased_variance=True)
    layer(x, training=True)
    parts = [x[:3], x[3:6]]
    expected = sum(3 * part.astype(np.float64).var(0, ddof=1) for part in parts) / 7
    assert_close(layer.moving_variance, expected, 1e-6)


def test_the_adjustment_comes_before_gamma_and_beta_in_training(rng):
    x = rng.normal(1, 2, (7, 3)).astype(np.float32)
    dy = rng.normal(size=x.shape)
    scale, bias = rng.uniform(0.9, 1.1, (7, 3)), rng.uniform(-0.1, 0.1, 3)
    shapes = []

    def adjustment(shape):
        shapes.append(shape.numpy().tolist())
        return tf.constant(scale, tf.float32), tf.constant(bias, tf.float32)

    layer = BatchNormalization(epsilon=EPSILON, virtual_batch_size=3, adjustment=adjustment)
    layer.build(x.shape)
    gamma, beta = rng.normal(1, 0.3, (2, 3)).astype(np.float32)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    step = run(layer, x, dy)
    assert shapes == [[7, 3]]

    def expected(x, gamma, beta):
        return normalize(x, 3, gamma, beta, adjustment=(scale, bias))[0]

    assert_close(step.y, expected(x, gamma, beta))
    assert_close(
        step.dx, oracles.gradient(lambda v: np.sum(dy * expected(v, gamma, beta)), x), 1e-4
    )
    assert_close(
        step.weights[0], oracles.gradient(lambda v: np.sum(dy * expected(x, v, beta)), gamma)
    )


def test_the_adjustment_may_be_random_and_is_drawn_anew_for_each_batch(rng):
    """The example of TF 1's documentation."""
    layer = BatchNormalization(
        virtual_batch_size=4,
        adjustment=lambda shape: (
            tf.random.uniform(shape[-1:], 0.93, 1.07),
            tf.random.uniform(shape[-1:], -0.1, 0.1),
        ),
    )
    x = rng.normal(size=(8, 3)).astype(np.float32)
    call = tf.function(lambda x: layer(x, training=True))
    layer.build(x.shape)
    first, second = call(x).numpy(), call(x).numpy()
    plain, _ = normalize(x, 4)
    assert np.all(np.abs(first - plain) <= 0.1 + 0.07 * np.abs(plain) + 1e-5)
    assert not np.allclose(first, second)
    assert_close(layer(x), layer(x), 0)


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_traced_function_takes_batches_of_any_size(mode, rng):
    layer = BatchNormalization(epsilon=EPSILON, virtual_batch_size=4, momentum=0.0)
    layer.build((None, 3))
    call = tf.function(
        lambda x: layer(x, training=True),
        input_signature=[tf.TensorSpec((None, 3))],
        jit_compile=mode == "xla",
    )
    for rows in (8, 6, 3, 0):
        x = rng.normal(1, 2, (rows, 3)).astype(np.float32)
        before = layer.get_weights()
        y = call(tf.constant(x))
        assert y.shape == (rows, 3)
        if rows:
            expected, fed = normalize(x, 4)
            assert_close(y, expected)
            _, mean, variance = average(fed)
            assert_close(layer.moving_mean, mean, 1e-6)
            assert_close(layer.moving_variance, variance, 1e-6)
        else:
            assert_weights(layer, before)


def test_fit_takes_a_last_batch_that_is_smaller(rng):
    x = rng.normal(1, 2, (23, 3)).astype(np.float32)
    layer = BatchNormalization(virtual_batch_size=4, momentum=0.5)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    model.fit(x, x, batch_size=9, shuffle=False, verbose=0)
    moving = oracles.MovingStatistics(3, 0.5)
    for start in (0, 9, 18):
        moving.update(*average(normalize(x[start : start + 9], 4)[1]))
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_variance, moving.variance, 1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_every_policy(policy, rng):
    layer = BatchNormalization(dtype=policy, epsilon=EPSILON, virtual_batch_size=4, momentum=0.0)
    x = tf.cast(rng.normal(100, 8, (10, 3)), layer.compute_dtype)
    y = layer(x, training=True)
    expected, fed = normalize(x.numpy().astype(np.float64), 4)
    assert y.dtype == layer.compute_dtype
    assert_close(y, expected, {"float64": 1e-9, "mixed_float16": 2e-3}.get(policy, 1e-2))
    assert_close(layer.moving_variance, average(fed)[2], 1e-5)


def test_every_mode_gives_the_same(rng):
    x = rng.normal(1, 2, (7, 3)).astype(np.float32)
    dy = rng.normal(size=x.shape)
    steps = [run(BatchNormalization(virtual_batch_size=2), x, dy, mode=mode) for mode in MODES]
    for step in steps[1:]:
        assert_close(step.y, steps[0].y)
        assert_close(step.dx, steps[0].dx)
