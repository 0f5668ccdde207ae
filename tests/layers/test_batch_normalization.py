import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close
from running import assert_weights, run

from tfnorm.layers import BatchNormalization

SHAPES = [(6, 3), (4, 2, 3), (3, 2, 3, 2), (2, 3, 2, 2, 3)]
SHAPES_AND_AXES = [
    pytest.param(shape, axis, id=f"rank {len(shape)}, axis {axis}")
    for shape in SHAPES
    for axis in range(-len(shape), len(shape))
]
EPSILON = 1e-3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make(channels, **arguments):
    """A layer whose weights are no initial values."""
    layer = BatchNormalization(epsilon=EPSILON, **arguments)
    rng = np.random.default_rng(channels)
    return layer, {
        "gamma": rng.normal(1, 0.3, channels).astype(np.float32),
        "beta": rng.normal(0, 1, channels).astype(np.float32),
        "moving_mean": rng.normal(0, 1, channels).astype(np.float32),
        "moving_variance": rng.uniform(0.5, 2, channels).astype(np.float32),
    }


@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES)
def test_training_normalizes_by_the_batch_with_the_gradients_of_the_formula(shape, axis, rng):
    x = (2 + 3 * rng.normal(size=shape)).astype(np.float32)
    dy = rng.normal(size=shape)
    layer, weights = make(shape[axis], axis=axis)
    layer.build(shape)
    layer.set_weights(list(weights.values()))

    def expected(x, gamma, beta):
        _, mean, variance = oracles.moments(x, axis)
        return oracles.normalize(x, mean, variance, gamma, beta, epsilon=EPSILON, axis=axis)

    gamma, beta = weights["gamma"], weights["beta"]
    step = run(layer, x, dy)
    assert_close(step.y, expected(x, gamma, beta))
    assert_close(step.dx, oracles.gradient(lambda x: np.sum(dy * expected(x, gamma, beta)), x))
    assert_close(
        step.weights[0], oracles.gradient(lambda g: np.sum(dy * expected(x, g, beta)), gamma)
    )
    assert_close(
        step.weights[1], oracles.gradient(lambda b: np.sum(dy * expected(x, gamma, b)), beta)
    )


@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES)
def test_inference_normalizes_by_the_moving_statistics(shape, axis, rng):
    x = (2 + 3 * rng.normal(size=shape)).astype(np.float32)
    dy = rng.normal(size=shape)
    layer, weights = make(shape[axis], axis=axis)
    layer.build(shape)
    layer.set_weights(list(weights.values()))

    def expected(x, gamma, beta):
        return oracles.normalize(
            x,
            weights["moving_mean"],
            weights["moving_variance"],
            gamma,
            beta,
            epsilon=EPSILON,
            axis=axis,
        )

    gamma, beta = weights["gamma"], weights["beta"]
    step = run(layer, x, dy, training=False)
    assert_close(step.y, expected(x, gamma, beta))
    assert_close(step.dx, oracles.gradient(lambda x: np.sum(dy * expected(x, gamma, beta)), x))
    assert_close(
        step.weights[0], oracles.gradient(lambda g: np.sum(dy * expected(x, g, beta)), gamma)
    )
    assert_close(
        step.weights[1], oracles.gradient(lambda b: np.sum(dy * expected(x, gamma, b)), beta)
    )
    assert_weights(layer, weights.values())


@pytest.mark.parametrize(("center", "scale"), [(True, False), (False, True), (False, False)])
def test_without_center_or_scale_there_is_no_such_weight_and_no_such_step(center, scale, rng):
    x = rng.normal(size=(8, 3)).astype(np.float32)
    layer = BatchNormalization(
        center=center,
        scale=scale,
        beta_initializer=keras.initializers.Constant(0.5),
        gamma_initializer=keras.initializers.Constant(2.0),
    )
    y = layer(x, training=True)
    assert [w.name for w in layer.trainable_weights] == ["gamma"] * scale + ["beta"] * center
    _, mean, variance = oracles.moments(x)
    gamma, beta = (2.0 if scale else 1.0), (0.5 if center else 0.0)
    assert_close(y, oracles.normalize(x, mean, variance, gamma, beta, epsilon=EPSILON))


def test_initializers_regularizers_and_constraints_reach_their_weights(rng):
    layer = BatchNormalization(
        beta_initializer=keras.initializers.Constant(1.0),
        gamma_initializer=keras.initializers.Constant(2.0),
        moving_mean_initializer=keras.initializers.Constant(3.0),
        moving_variance_initializer=keras.initializers.Constant(4.0),
        beta_regularizer=keras.regularizers.L2(0.1),
        gamma_regularizer=keras.regularizers.L1(0.01),
        beta_constraint="non_neg",
        gamma_constraint=keras.constraints.MinMaxNorm(0.0, 1.0, axis=[]),
    )
    layer.build((None, 2))
    assert [w.numpy().tolist() for w in layer.weights] == [[2, 2], [1, 1], [3, 3], [4, 4]]
    np.testing.assert_allclose(sorted(map(float, layer.losses)), [0.01 * 4, 0.1 * 2])
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    x = rng.normal(size=(16, 2)).astype(np.float32)
    model.fit(x, np.full((16, 2), -9.0), verbose=0)
    assert np.all(layer.beta.numpy() == 0)
    assert np.all(np.abs(layer.gamma) <= 1)


def test_epsilon_is_the_one_given():
    x = np.array([[-2.0], [2.0]], np.float32)
    layer = BatchNormalization(epsilon=5.0)
    assert_close(layer(x, training=True), x / 3)


def test_an_empty_batch_gives_empty_output_and_changes_nothing():
    layer = BatchNormalization(momentum=0.5)
    layer(np.array([[1.0, 2.0], [5.0, 6.0]], np.float32), training=True)
    before = layer.get_weights()
    assert layer(np.zeros((0, 2), np.float32), training=True).shape == (0, 2)
    assert_weights(layer, before)


def test_one_row_normalizes_to_beta():
    layer = BatchNormalization(momentum=0.5, beta_initializer=keras.initializers.Constant(0.25))
    y = layer(tf.constant([[7.0, -3.0]]), training=True)
    np.testing.assert_array_equal(y, [[0.25, 0.25]])
    np.testing.assert_array_equal(layer.moving_mean, [3.5, -1.5])
    np.testing.assert_array_equal(layer.moving_variance, [0.5, 0.5])
