"""Positions that a mask leaves out have no part in the statistics."""

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close
from running import MODES, assert_weights, run, step_function

from tfnorm.layers import BatchNormalization, Dice

LAYERS = pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
EVERY_MODE = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def formula(Layer):
    """Normalized with the statistics of the positions that count."""
    epsilon = Layer().epsilon
    apply = oracles.normalize if Layer is BatchNormalization else oracles.dice

    def expected(x, axis=-1, mask=None):
        _, mean, variance = oracles.moments(x, axis, mask)
        return apply(x, mean, variance, epsilon=epsilon, axis=axis)

    return expected


@LAYERS
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((12, 3), -1),
        ((5, 4, 3), -1),
        ((5, 4, 3), 1),
        ((5, 4, 3), 0),
        ((5, 4, 1), -1),
        ((6, 1, 3), 1),
    ],
)
def test_values_gradients_and_statistics_are_those_of_numpy(Layer, shape, axis, rng):
    x = rng.normal(1, 2, shape).astype(np.float32)
    dy = rng.normal(size=shape)
    mask = rng.random(shape[:-1]) < 0.6
    layer = Layer(axis=axis, momentum=0.0)
    expected = formula(Layer)
    step = run(layer, x, dy, mask)
    assert_close(step.y, expected(x, axis, mask))
    assert_close(step.dx, oracles.gradient(lambda x: np.sum(dy * expected(x, axis, mask)), x), 1e-4)
    count, mean, variance = oracles.moments(x, axis, mask)
    assert_close(layer.moving_mean, mean, 1e-6)
    assert_close(layer.moving_variance, np.where(count > 0, variance, 1), 1e-6)


@LAYERS
@EVERY_MODE
def test_garbage_where_the_mask_is_false_reaches_nothing(Layer, mode, rng):
    """Not even as 0 * NaN in a gradient."""
    x = rng.normal(1, 2, (6, 5, 3)).astype(np.float32)
    mask = rng.random((6, 5)) < 0.6
    dy = rng.normal(size=x.shape) * mask[..., None]
    layer = Layer()
    layer.build(x.shape)
    before, step = layer.get_weights(), step_function(layer, mode)

    def found(other):
        layer.set_weights(before)
        v = np.where(mask[..., None], x, np.float32(other))
        y, dx, gradients = step(tf.constant(v), tf.constant(dy, tf.float32), tf.constant(mask))
        return y[mask], dx, *gradients, *layer.get_weights()

    clean = found(0)
    for garbage in (np.nan, np.inf, 3e38):
        for expected, value in zip(clean, found(garbage), strict=True):
            assert_close(value, expected, 1e-6)


@LAYERS
@pytest.mark.parametrize("shape", [(6, 1), (1, 5), (1, 1)])
def test_a_mask_is_broadcast_to_the_inputs_without_their_last_axis(Layer, shape, rng):
    x = rng.normal(size=(6, 5, 3)).astype(np.float32)
    mask = rng.random(shape) < 0.6
    mask.flat[0] = True
    by_short, by_long = Layer(), Layer()
    np.testing.assert_array_equal(
        by_short(x, training=True, mask=mask),
        by_long(x, training=True, mask=np.broadcast_to(mask, (6, 5))),
    )
    assert_weights(by_short, by_long.get_weights())


@LAYERS
@EVERY_MODE
def test_a_fully_masked_batch_changes_nothing_and_gives_finite_output(Layer, mode):
    """Keras moves the statistics towards 0."""
    layer = Layer()
    layer(np.random.default_rng(0).normal(2, 3, (8, 4, 2)).astype(np.float32), training=True)
    before, step = layer.get_weights(), step_function(layer, mode)
    for value in (1.5, np.nan):
        x = tf.fill((3, 4, 2), value)
        y, dx, weights = step(x, tf.zeros_like(x), tf.zeros((3, 4), tf.bool))
        assert_weights(layer, before)
        assert np.all(np.isfinite(y))
        for gradient in (dx, *weights):
            assert np.all(gradient == 0)


@LAYERS
def test_a_mask_of_ones_is_no_mask(Layer, rng):
    x, dy = rng.normal(1, 2, (2, 6, 5, 3)).astype(np.float32)
    with_mask, without = Layer(), Layer()
    mine, other = run(with_mask, x, dy, np.ones((6, 5), bool)), run(without, x, dy)
    assert_close(mine.y, other.y, 1e-6)
    assert_close(mine.dx, other.dx, 1e-5)
    for weight, expected in zip(with_mask.get_weights(), without.get_weights(), strict=True):
        assert_close(weight, expected, 1e-6)


@LAYERS
def test_a_mask_has_no_part_in_inference(Layer, rng):
    layer = Layer()
    x = rng.normal(1, 2, (6, 5, 3)).astype(np.float32)
    layer(x, training=True)
    np.testing.assert_array_equal(
        layer(x, training=False, mask=np.zeros((6, 5), bool)), layer(x, training=False)
    )


@LAYERS
def test_the_mask_of_an_embedding_passes_through_a_dense_layer_and_on(Layer, rng):
    ids = rng.integers(1, 9, (8, 6))
    ids[rng.random(ids.shape) < 0.5] = 0
    layer = Layer(momentum=0.0)
    inputs = keras.Input((6,), dtype="int32")
    embedded = keras.layers.Embedding(9, 4, mask_zero=True)(inputs)
    hidden = keras.layers.TimeDistributed(keras.layers.Dense(3))(embedded)
    model = keras.Model(inputs, [hidden, layer(hidden), keras.layers.LSTM(2)(layer(hidden))])
    hidden, normalized, _ = model(ids, training=True)
    _, mean, variance = oracles.moments(hidden, mask=ids != 0)
    assert_close(layer.moving_mean, mean, 1e-6)
    assert_close(layer.moving_variance, variance, 1e-6)
    assert_close(normalized, formula(Layer)(hidden.numpy(), mask=ids != 0))
    np.testing.assert_array_equal(keras.src.backend.get_keras_mask(normalized), ids != 0)


@LAYERS
def test_fit_takes_the_mask_of_a_masking_layer(Layer, rng):
    x = rng.normal(3, 2, (16, 5, 2)).astype(np.float32)
    mask = rng.random((16, 5)) < 0.6
    x[~mask] = -1.0
    layer = Layer(momentum=0.5)
    model = keras.Sequential([keras.Input((5, 2)), keras.layers.Masking(-1.0), layer])
    model.compile("sgd", "mse")
    model.fit(x, x, batch_size=8, shuffle=False, verbose=0)
    moving = oracles.MovingStatistics(2, 0.5)
    for rows in (slice(8), slice(8, 16)):
        moving.update(*oracles.moments(x[rows], mask=mask[rows]))
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_variance, moving.variance, 1e-6)


@LAYERS
@EVERY_MODE
def test_rows_and_steps_may_be_unknown_when_the_function_is_traced(Layer, mode, rng):
    layer = Layer(momentum=0.0)
    layer.build((None, None, 3))
    signature = [tf.TensorSpec((None, None, 3)), tf.TensorSpec((None, None), tf.bool)]
    options = {"graph": {}, "xla": {"jit_compile": True}}
    call = lambda x, mask: layer(x, training=True, mask=mask)  # noqa: E731
    if mode != "eager":
        call = tf.function(call, input_signature=signature, **options[mode])
    for shape in ((4, 5, 3), (7, 2, 3)):
        x = rng.normal(size=shape).astype(np.float32)
        mask = rng.random(shape[:-1]) < 0.6
        y = call(tf.constant(x), tf.constant(mask))
        assert_close(y, formula(Layer)(x, mask=mask))
        assert_close(layer.moving_mean, oracles.moments(x, mask=mask)[1], 1e-6)
