"""The functional forms: for people who manage their own variables."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm import ops

SHAPES_AND_AXES = [
    pytest.param(shape, axis, id=f"rank {len(shape)}, axis {axis}")
    for shape in [(6, 3), (4, 2, 3), (3, 2, 3, 2), (2, 3, 2, 2, 3)]
    for axis in range(-len(shape), len(shape))
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES)
def test_moments_are_those_of_numpy_with_their_gradients(shape, axis, masked, rng):
    x = rng.normal(1, 2, shape)
    mask = rng.random(shape[:-1]) < 0.7 if masked else None
    weights = rng.normal(size=(2, shape[axis]))
    source = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(source)
        mean, variance = ops.moments(source, axis, mask)
        loss = tf.reduce_sum(weights[0] * mean) + tf.reduce_sum(weights[1] * variance)

    def expected(x):
        _, mean, variance = oracles.moments(x, axis, mask)
        return np.sum(weights[0] * mean) + np.sum(weights[1] * variance)

    assert mean.dtype == variance.dtype == tf.float32
    assert_close(mean, oracles.moments(x, axis, mask)[1], 1e-6)
    assert_close(variance, oracles.moments(x, axis, mask)[2], 1e-6)
    assert_close(tape.gradient(loss, source), oracles.gradient(expected, x), 1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_moments_are_float32_or_wider(dtype, rng):
    x = tf.cast(rng.normal(300, 20, (500, 2)), dtype)
    mean, variance = ops.moments(x)
    assert mean.dtype == variance.dtype == ("float64" if dtype == "float64" else "float32")
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    _, expected_mean, expected_variance = oracles.moments(x.numpy().astype(np.float64))
    np.testing.assert_allclose(mean, expected_mean, rtol=tolerance)
    np.testing.assert_allclose(variance, expected_variance, rtol=10 * tolerance)


def test_moments_without_a_value_are_zero():
    for x, mask in ((np.zeros((0, 2)), None), (np.full((3, 2), np.nan), np.zeros(3, bool))):
        mean, variance = ops.moments(tf.constant(x, tf.float32), mask=mask)
        assert mean.numpy().tolist() == variance.numpy().tolist() == [0, 0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES)
def test_batch_normalization_takes_given_statistics_or_its_own(shape, axis, masked, rng):
    x = rng.normal(1, 2, shape).astype(np.float32)
    mask = rng.random(shape[:-1]) < 0.7 if masked else None
    channels = shape[axis]
    mean, gamma, beta = rng.normal(size=(3, channels)).astype(np.float32)
    variance = rng.uniform(0.5, 2, channels).astype(np.float32)
    form = {"epsilon": 0.01, "axis": axis}
    _, own_mean, own_variance = oracles.moments(x, axis, mask)
    assert_close(
        ops.batch_normalization(x, gamma=gamma, beta=beta, mask=mask, **form),
        oracles.normalize(x, own_mean, own_variance, gamma, beta, **form),
    )
    assert_close(
        ops.batch_normalization(x, mean, variance, gamma, beta, mask=mask, **form),
        oracles.normalize(x, mean, variance, gamma, beta, **form),
    )
    assert_close(
        ops.batch_normalization(x, mean, variance, **form),
        oracles.normalize(x, mean, variance, **form),
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES)
def test_dice_takes_given_statistics_or_its_own(shape, axis, masked, rng):
    x = rng.normal(1, 2, shape).astype(np.float32)
    mask = rng.random(shape[:-1]) < 0.7 if masked else None
    channels = shape[axis]
    mean, alpha = rng.normal(size=(2, channels)).astype(np.float32)
    variance = rng.uniform(0.5, 2, channels).astype(np.float32)
    form = {"epsilon": 0.01, "axis": axis}
    _, own_mean, own_variance = oracles.moments(x, axis, mask)
    assert_close(
        ops.dice(x, alpha=alpha, mask=mask, **form),
        oracles.dice(x, own_mean, own_variance, alpha, **form),
    )
    assert_close(
        ops.dice(x, mean, variance, alpha, mask=mask, **form),
        oracles.dice(x, mean, variance, alpha, **form),
    )
    assert_close(ops.dice(x, mean, variance, **form), oracles.dice(x, mean, variance, **form))


@pytest.mark.parametrize("name", ["batch_normalization", "dice"])
def test_gradients_reach_statistics_that_are_given(name, rng):
    """Who computes the statistics elsewhere, across devices say, differentiates through them."""
    x, dy = rng.normal(1, 2, (2, 5, 3))
    mean, variance = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    sources = [tf.constant(v) for v in (x, mean, variance)]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        y = getattr(ops, name)(*sources, epsilon=0.01)
    formula = oracles.normalize if name == "batch_normalization" else oracles.dice
    found = tape.gradient(y, sources, tf.constant(dy))

    def loss(x, mean, variance):
        return np.sum(dy * formula(x, mean, variance, epsilon=0.01))

    assert_close(found[0], oracles.gradient(lambda v: loss(v, mean, variance), x), 1e-8)
    assert_close(found[1], oracles.gradient(lambda v: loss(x, v, variance), mean), 1e-8)
    assert_close(found[2], oracles.gradient(lambda v: loss(x, mean, v), variance), 1e-8)


@pytest.mark.parametrize("name", ["batch_normalization", "dice"])
@pytest.mark.parametrize("given", [{"mean": [0.0]}, {"variance": [1.0]}])
def test_a_mean_without_a_variance_is_refused_and_so_is_the_reverse(name, given):
    with pytest.raises(ValueError, match="mean and variance go together"):
        getattr(ops, name)(tf.zeros((2, 1)), **given)


@pytest.mark.parametrize("name", ["moments", "batch_normalization", "dice"])
@pytest.mark.parametrize("shape", [(2,), (5,), (4, 3), (4, 2, 1), (1, 4, 2)])
def test_a_mask_of_another_shape_is_refused_with_both_shapes(name, shape):
    with pytest.raises(ValueError, match="mask") as error:
        getattr(ops, name)(tf.zeros((4, 2, 3)), mask=np.ones(shape, bool))
    assert "(4, 2)" in str(error.value)
    assert str(shape) in str(error.value)
