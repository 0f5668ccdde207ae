"""The variance is right where the mean is far from zero, however many rows there are.

Within 1e-5 of float64 where the mean is up to 1,000 standard deviations from zero, and within 1e-3 up
to 10,000. XLA's lowering of FusedBatchNormV3 is off by 0.025 at 100 and by 295 at 10,000.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from running import MODES

from tfnorm import ops
from tfnorm.layers import BatchNormalization, Dice

# The ratios of mean to standard deviation; those in the middle are where a kernel might be trusted
# for its speed and must not be.
RATIOS = [0.0, 1.0, 7.7, 31.3, 126.9, -503.7, 1000.0]
FAR = [1003.7, -3000.1, 10_000.0]


def columns(rows, seed=0):
    """Standardized columns of unlike shapes; those of two values round to one side all the time."""
    rng = np.random.default_rng(seed)
    z = np.stack(
        [
            rng.normal(size=rows),
            rng.exponential(size=rows),
            np.sort(rng.normal(size=rows)),
            rng.integers(0, 2, rows) + 0.01 * rng.normal(size=rows),
            rng.random(rows) < 0.3,
            np.arange(rows) % 2,
        ],
        axis=1,
    )
    return (z - z.mean(0)) / z.std(0)


def worst(found, x):
    """The largest error of a variance against float64, relative to it."""
    expected = x.var(0, dtype=np.float64)
    return np.max(np.abs(found - expected) / expected)


def assert_accurate(variance_of, z, ratios):
    for ratio in ratios:
        # Means like 10,003.7 times such scales are no round numbers in binary.
        x = (np.linspace(0.37, 0.7, z.shape[1]) * (ratio + z)).astype(np.float32)
        bound = 1e-5 if abs(ratio) <= 1000 else 1e-3
        assert worst(variance_of(tf.constant(x)), x) < bound, f"mean / std = {ratio}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [256, 4099, 65_536])
@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_the_layers(Layer, rows, mode):
    """The columns of short batches are repeated in other scales."""
    layers = {
        "own": Layer(momentum=0.0),
        "synchronized": Layer(momentum=0.0, synchronized=True),
        "masked": Layer(momentum=0.0),
    }
    z = np.tile(columns(rows), -(-(2**15) // (6 * rows)))
    every_row = tf.ones(rows, tf.bool)
    for layer in layers.values():
        layer.build((rows, z.shape[1]))

    def train(x):
        layers["own"](x, training=True)
        layers["synchronized"](x, training=True)
        layers["masked"](x, training=True, mask=every_row)
        return tf.stack([layer.moving_variance.value for layer in layers.values()])

    assert_accurate(MODES[mode](train), z, RATIOS + FAR)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_million_rows(mode):
    layers = [BatchNormalization(momentum=0.0), Dice(momentum=0.0)]
    z = columns(1_000_000)
    for layer in layers:
        layer.build((None, z.shape[1]))

    def train(x):
        for layer in layers:
            layer(x, training=True)
        return tf.stack([layer.moving_variance.value for layer in layers])

    assert_accurate(MODES[mode](train), z, [1.0, 1000.0, 10_000.0])


@pytest.mark.parametrize("mode", MODES)
def test_the_functional_form(mode):
    assert_accurate(MODES[mode](lambda x: ops.moments(x)[1]), columns(5000), RATIOS + FAR)


@pytest.mark.parametrize("jit_compile", ["auto", True])
@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_fit(Layer, jit_compile):
    """Left to itself, Keras compiles with XLA where there is a GPU."""
    z = columns(8192)
    layer = Layer(momentum=0.0)
    model = keras.Sequential([keras.Input((z.shape[1],)), layer])
    model.compile("sgd", "mse", jit_compile=jit_compile)

    def variance_of(x):
        model.fit(x, x, batch_size=len(x), verbose=0)
        return layer.moving_variance.numpy()

    assert_accurate(variance_of, z, [1.0, 126.9, 1000.0, 10_000.0])


@pytest.mark.parametrize("mode", MODES)
def test_channels_that_are_not_last(mode):
    z = columns(24 * 300).reshape(24, 300, -1)
    layer = BatchNormalization(axis=1, momentum=0.0)
    layer.build((24, z.shape[2], 300))

    def variance_of(x):
        layer(tf.transpose(x, [0, 2, 1]), training=True)
        return layer.moving_variance.value

    call = MODES[mode](variance_of)
    assert_accurate(
        lambda x: call(tf.reshape(x, z.shape)), z.reshape(-1, z.shape[2]), [1.0, 1000.0, 10_000.0]
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [300, 4096, 65_537])
def test_a_constant_column_has_no_variance(mode, rows):
    """Nor does the column beside it lose its own."""
    values = np.float32([0.0, 0.1, -10_003.7, 1e-6])
    x = np.tile(values, (rows, 1))
    x[:, 0] = np.random.default_rng(0).normal(size=rows)
    mean, variance = MODES[mode](ops.moments)(tf.constant(x))
    np.testing.assert_allclose(mean[1:], values[1:], rtol=3e-7)
    np.testing.assert_array_less(variance[1:], (3e-7 * values[1:]) ** 2 + 1e-38)
    np.testing.assert_allclose(variance[0], x[:, 0].var(dtype=np.float64), rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_outputs_lose_no_more_than_the_inputs_have(Layer, mode):
    """A float32 that is 1,000 standard deviations from zero knows itself to 6e-5 of one."""
    z = columns(4096)
    layer = Layer(epsilon=0.0, momentum=1.0)
    layer.build(z.shape)
    call = MODES[mode](lambda x: [layer(x, training=training) for training in (True, False)])
    for ratio in (1.0, 126.9, 1000.0, 10_000.0):
        x = (0.37 * (ratio + z)).astype(np.float32)
        layer.moving_mean.assign(x.mean(0, np.float64))
        layer.moving_variance.assign(x.var(0, dtype=np.float64))
        x_hat = (x - x.mean(0, np.float64)) / x.std(0, dtype=np.float64)
        expected = x_hat if Layer is BatchNormalization else x / (1 + np.exp(-x_hat))
        tolerance = (1e-6 + 2e-7 * ratio) * max(1.0, np.abs(expected).max())
        for y, form in zip(call(tf.constant(x)), ("training", "inference"), strict=True):
            assert np.max(np.abs(y - expected)) < tolerance, f"{form}, mean / std = {ratio}"


@pytest.mark.parametrize("rows", [1, 300, 4099])
@pytest.mark.parametrize(
    ("layer", "masked"),
    [
        *((Layer(), masked) for Layer in (BatchNormalization, Dice) for masked in (False, True)),
        *((Layer(synchronized=True), False) for Layer in (BatchNormalization, Dice)),
        (BatchNormalization(virtual_batch_size=128), False),
        (BatchNormalization(renorm=True, renorm_clipping={"dmax": 0}), False),
    ],
    ids=[
        *("own", "masked", "Dice", "Dice, masked"),
        *("synchronized", "Dice, synchronized", "ghost batches", "renorm"),
    ],
)
def test_a_constant_column_is_normalized_to_zero(layer, masked, rows):
    """Not to what rounding makes of a large mean over a root of epsilon."""
    values = np.float32([0.1, -10_003.7, 1e-6, 3.0, 77_777.77])
    mask = np.arange(rows) % 3 < 2 if masked else None
    y = layer(np.tile(values, (rows, 1)), training=True, mask=mask)
    expected = values / 2 if isinstance(layer, Dice) else np.zeros(5)
    np.testing.assert_allclose(y, np.broadcast_to(expected, y.shape), rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_inference_is_as_exact_as_training(Layer, mode):
    """Of dates as yyyymmdd and of a constant that is a time; the factor of two is for another rounding."""
    rng = np.random.default_rng(0)
    dates = 20240001 + 100 * rng.integers(1, 13, 4096) + rng.integers(1, 29, 4096)
    x = np.stack([dates, np.full(4096, 1.7e9), 1e4 + rng.normal(size=4096)], 1).astype(np.float32)
    mean, variance = x.mean(0, np.float64), x.var(0, dtype=np.float64)
    layer = Layer(momentum=1.0)
    layer.build(x.shape)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    x_hat = (x - mean) / np.sqrt(variance + layer.epsilon)
    expected = x_hat if Layer is BatchNormalization else x / (1 + np.exp(-x_hat))
    call = MODES[mode](lambda x: [layer(x, training=training) for training in (True, False)])
    by_batch, by_moving = (np.abs(y - expected) for y in call(tf.constant(x)))
    np.testing.assert_array_less(by_moving.max(0), 2 * by_batch.max(0) + 1e-30)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_a_million_values_of_a_channel_that_is_not_last(Layer, axis):
    """Under XLA, which sums a last axis of a million one by one."""
    z = np.random.default_rng(0).normal(size=(2, 500_000))
    z = np.stack([z, (z - z.mean()) / z.std()], axis)
    layer = Layer(axis=axis, momentum=0.0)
    layer.build(z.shape)

    def variance_of(x):
        layer(x, training=True)
        return layer.moving_variance.value

    call = MODES["xla"](variance_of)
    for ratio, bound in ((1000.0, 1e-5), (10_000.0, 1e-3)):
        x = (0.37 * (ratio + z)).astype(np.float32)
        expected = x.var(tuple(n for n in range(3) if n != axis), dtype=np.float64)
        np.testing.assert_allclose(call(tf.constant(x)), expected, rtol=bound)


def test_a_statistic_that_is_right_stays_so_to_the_last_digit():
    """0.99 x + 0.01 x in float32 is not x for every x."""
    x = np.float32([1.7e9, 20240613, 0.1, -10_003.7])
    layer = BatchNormalization()
    layer.build((None, 4))
    layer.moving_mean.assign(x)
    for _ in range(20):
        layer(np.tile(x, (3, 1)), training=True)
    np.testing.assert_array_equal(layer.moving_mean, x)
