import keras
import numpy as np
import oracles
import pytest
from oracles import assert_close
from running import assert_weights, run

from tfnorm.layers import Dice

SHAPES = [(6, 3), (4, 2, 3), (3, 2, 3, 2), (2, 3, 2, 2, 3)]
SHAPES_AND_AXES = [
    pytest.param(shape, axis, id=f"rank {len(shape)}, axis {axis}")
    for shape in SHAPES
    for axis in range(-len(shape), len(shape))
]
EPSILON = 1e-9


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make(shape, axis):
    """A layer whose weights are no initial values, and its weights."""
    channels = shape[axis]
    rng = np.random.default_rng(channels)
    weights = (
        rng.normal(0, 0.5, channels).astype(np.float32),
        rng.normal(0, 1, channels).astype(np.float32),
        rng.uniform(0.5, 2, channels).astype(np.float32),
    )
    layer = Dice(axis=axis)
    layer.build(shape)
    layer.set_weights(list(weights))
    return layer, *weights


@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES)
def test_training_rectifies_by_the_batch_with_the_gradients_of_the_formula(shape, axis, rng):
    x = (0.5 + 2 * rng.normal(size=shape)).astype(np.float32)
    dy = rng.normal(size=shape)
    layer, alpha, *_ = make(shape, axis)

    def expected(x, alpha):
        _, mean, variance = oracles.moments(x, axis)
        return oracles.dice(x, mean, variance, alpha, epsilon=EPSILON, axis=axis)

    step = run(layer, x, dy)
    assert_close(step.y, expected(x, alpha))
    assert_close(step.dx, oracles.gradient(lambda x: np.sum(dy * expected(x, alpha)), x))
    assert_close(step.weights[0], oracles.gradient(lambda a: np.sum(dy * expected(x, a)), alpha))


@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES)
def test_inference_rectifies_by_the_moving_statistics(shape, axis, rng):
    x = (0.5 + 2 * rng.normal(size=shape)).astype(np.float32)
    dy = rng.normal(size=shape)
    layer, alpha, mean, variance = make(shape, axis)

    def expected(x, alpha):
        return oracles.dice(x, mean, variance, alpha, epsilon=EPSILON, axis=axis)

    step = run(layer, x, dy, training=False)
    assert_close(step.y, expected(x, alpha))
    assert_close(step.dx, oracles.gradient(lambda x: np.sum(dy * expected(x, alpha)), x))
    assert_close(step.weights[0], oracles.gradient(lambda a: np.sum(dy * expected(x, a)), alpha))
    assert_weights(layer, (alpha, mean, variance))


def test_a_constant_channel_is_halved_where_alpha_is_zero(rng):
    """The DIEN authors' case of one row: p = sigmoid(0)."""
    x = np.full((4, 1), 3.0, np.float32)
    np.testing.assert_array_equal(Dice()(x, training=True), x / 2)


def test_initializers_regularizers_and_constraints_reach_their_weights(rng):
    layer = Dice(
        alpha_initializer=keras.initializers.Constant(2.0),
        alpha_regularizer=keras.regularizers.L2(0.1),
        alpha_constraint="non_neg",
        moving_mean_initializer=keras.initializers.Constant(3.0),
        moving_variance_initializer=keras.initializers.Constant(4.0),
    )
    layer.build((None, 2))
    assert [w.numpy().tolist() for w in layer.weights] == [[2, 2], [3, 3], [4, 4]]
    np.testing.assert_allclose(layer.losses, [0.1 * 8])
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    x = rng.normal(size=(16, 2)).astype(np.float32)
    model.fit(x, 9 * np.abs(x), verbose=0)
    assert np.all(layer.alpha.numpy() == 0)


def test_an_empty_batch_gives_empty_output_and_changes_nothing():
    layer = Dice(momentum=0.5)
    layer(np.array([[1.0, 2.0], [5.0, 6.0]], np.float32), training=True)
    before = layer.get_weights()
    assert layer(np.zeros((0, 2), np.float32), training=True).shape == (0, 2)
    assert_weights(layer, before)
