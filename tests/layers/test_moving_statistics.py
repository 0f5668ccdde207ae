"""What both layers do with their moving statistics."""

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close
from running import MODES, assert_weights

from tfnorm.layers import BatchNormalization, Dice

LAYERS = pytest.mark.parametrize("Layer", [BatchNormalization, Dice])


def batches(n, channels=3, seed=0):
    """Batches of different sizes, scales and means, as `[rows, channels]`."""
    rng = np.random.default_rng(seed)
    for rows in rng.choice([2, 17, 39], n):
        yield rng.normal(rng.normal(size=channels), rng.uniform(0.1, 4), (rows, channels)).astype(
            np.float32
        )


def train(layer, *, moving, n=20, mode="eager", mask=None):
    """Feed the same batches to the layer and to the oracle."""
    layer.build((None, 3))
    call = MODES[mode](lambda x: layer(x, training=True))
    for x in batches(n):
        call(tf.constant(x))
        moving.update(*oracles.moments(x))


@LAYERS
@pytest.mark.parametrize("mode", MODES)
def test_twenty_updates_and_then_inference_are_those_of_numpy(Layer, mode):
    layer, moving = Layer(momentum=0.9), oracles.MovingStatistics(3, 0.9)
    train(layer, moving=moving, mode=mode, n=20 if mode != "xla" else 5)
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_variance, moving.variance, 1e-6)
    x = next(batches(1, seed=1))
    formula = oracles.normalize if Layer is BatchNormalization else oracles.dice
    expected = formula(x, moving.mean, moving.variance, epsilon=layer.epsilon)
    assert_close(layer(x, training=False), expected)


@LAYERS
@pytest.mark.parametrize(
    ("arguments", "oracle"),
    [
        ({"momentum": 0.99, "momentum_warmup": True}, {"momentum": 0.99, "warmup": True}),
        ({"momentum": 0.4, "momentum_warmup": True}, {"momentum": 0.4, "warmup": True}),
        ({"unbiased_variance": True, "momentum": 0.8}, {"momentum": 0.8, "unbiased": True}),
        ({"momentum": None}, {"momentum": None}),
        ({"momentum": None, "unbiased_variance": True}, {"momentum": None, "unbiased": True}),
        ({"momentum": 0.0}, {"momentum": 0.0}),
        ({"momentum": 1.0}, {"momentum": 1.0}),
    ],
)
def test_updates_weigh_as_asked(Layer, arguments, oracle):
    layer, moving = Layer(**arguments), oracles.MovingStatistics(3, **oracle)
    train(layer, moving=moving)
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_variance, moving.variance, 1e-6)


@LAYERS
def test_without_momentum_the_statistics_are_the_mean_of_the_batches(Layer):
    layer = Layer(momentum=None)
    for x in batches(7):
        layer(x, training=True)
    assert_close(layer.moving_mean, np.mean([x.mean(0) for x in batches(7)], 0), 1e-6)
    assert_close(layer.moving_variance, np.mean([x.var(0) for x in batches(7)], 0), 1e-6)
    assert layer.updates.numpy().tolist() == [7, 7, 7]


@LAYERS
def test_unbiased_variance_of_one_row_is_the_biased_one(Layer):
    layer = Layer(momentum=0.0, unbiased_variance=True)
    layer(tf.constant([[3.0, 4.0]]), training=True)
    assert layer.moving_variance.numpy().tolist() == [0, 0]


@LAYERS
def test_unbiased_variance_is_fed_but_not_normalized_with(Layer):
    x = next(batches(1))
    biased, unbiased = Layer(momentum=0.0), Layer(momentum=0.0, unbiased_variance=True)
    np.testing.assert_array_equal(biased(x, training=True), unbiased(x, training=True))
    assert_close(unbiased.moving_variance, x.astype(np.float64).var(0, ddof=1), 1e-6)
    assert_close(biased.moving_variance, x.astype(np.float64).var(0), 1e-6)


@LAYERS
@pytest.mark.parametrize("training", [False, None])
def test_moving_statistics_do_not_change_but_under_training(Layer, training):
    layer = Layer()
    layer.build((None, 3))
    for x in batches(2):
        layer(x, training=training)
    assert layer.moving_mean.numpy().tolist() == [0, 0, 0]
    assert layer.moving_variance.numpy().tolist() == [1, 1, 1]


@LAYERS
def test_a_frozen_layer_ignores_training(Layer):
    layer, moving = Layer(momentum=0.5), oracles.MovingStatistics(3, 0.5)
    train(layer, moving=moving, n=2)
    layer.trainable = False
    before = layer.get_weights()
    x = next(batches(1, seed=1))
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
    assert_weights(layer, before)
    layer.trainable = True
    layer(x, training=True)
    assert not np.array_equal(layer.moving_mean, before[-2])


@LAYERS
@pytest.mark.parametrize("arguments", [{}, {"momentum": None}, {"momentum_warmup": True}])
def test_statistics_are_non_trainable_weights_after_the_trainable_ones(Layer, arguments):
    layer = Layer(**arguments)
    layer.build((None, 3))
    trainable = ["gamma", "beta"] if Layer is BatchNormalization else ["alpha"]
    statistics = ["moving_mean", "moving_variance"] + ["updates"] * bool(arguments)
    assert [w.name for w in layer.weights] == trainable + statistics
    assert [w.name for w in layer.trainable_weights] == trainable
    assert all(tuple(w.shape) == (3,) for w in layer.weights)


@LAYERS
@pytest.mark.parametrize(
    ("policy", "weights", "statistics"),
    [
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
        ("mixed_float16", "float32", "float32"),
        ("mixed_bfloat16", "float32", "float32"),
        ("float16", "float16", "float32"),
        ("bfloat16", "bfloat16", "float32"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_statistics_are_float32_or_wider_under_every_policy(
    Layer, policy, weights, statistics, mode
):
    """Updates of a mean near 1,000: a float16 statistic would be off by whole units."""
    layer = Layer(dtype=policy, momentum=0.99, momentum_warmup=True)
    x = tf.cast(1000 + np.random.default_rng(0).normal(size=(64, 2)) * 8, layer.compute_dtype)
    layer.build(x.shape)
    moving = oracles.MovingStatistics(2, 0.99, warmup=True)
    call = MODES[mode](lambda x: layer(x, training=True))
    for _ in range(10):
        y = call(x)
        moving.update(*oracles.moments(x))
    assert y.dtype == layer.compute_dtype
    assert all(w.dtype == weights for w in layer.trainable_weights)
    assert all(w.dtype == statistics for w in layer.non_trainable_weights)
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_variance, moving.variance, 1e-5)
    formula = oracles.normalize if Layer is BatchNormalization else oracles.dice
    _, mean, variance = oracles.moments(x)
    rounding = {"float16": 2e-3, "bfloat16": 1e-2}.get(layer.compute_dtype, 1e-5)
    assert_close(y, formula(x, mean, variance, epsilon=layer.epsilon), rounding)


@LAYERS
def test_a_batch_without_values_for_a_channel_leaves_its_count_of_updates(Layer):
    layer, moving = Layer(axis=1, momentum=None), oracles.MovingStatistics(2, None)
    rng = np.random.default_rng(0)
    for mask in (
        [[True, True]] * 3,
        [[True, False]] * 3,
        [[False, True], [False, True], [True, True]],
    ):
        x = rng.normal(size=(3, 2, 4)).astype(np.float32)
        layer(x, training=True, mask=np.array(mask))
        moving.update(*oracles.moments(x, 1, np.array(mask)))
    assert layer.updates.numpy().tolist() == [3, 2]
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_variance, moving.variance, 1e-6)


@LAYERS
def test_fit_updates_the_statistics_and_predict_does_not(Layer):
    layer, moving = Layer(momentum=0.7), oracles.MovingStatistics(3, 0.7)
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(3, 2, (40, 3)).astype(np.float32)
    model.fit(x, x[:, :1], batch_size=16, shuffle=False, epochs=2, verbose=0)
    for _ in range(2):
        for rows in (slice(0, 16), slice(16, 32), slice(32, 40)):
            moving.update(*oracles.moments(x[rows]))
    assert_close(layer.moving_mean, moving.mean)
    assert_close(layer.moving_variance, moving.variance)
    before = layer.get_weights()
    model.predict(x, verbose=0)
    model.evaluate(x, x[:, :1], verbose=0)
    assert_weights(layer, before)
