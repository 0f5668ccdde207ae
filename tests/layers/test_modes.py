"""The same in every mode, at every size: which kernel runs must not show."""

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close
from running import MODES, assert_weights, run

from tfnorm.layers import BatchNormalization, Dice
from tfnorm.ops import loops
from tfnorm.ops.batch_normalization import normalize, normalize_gradient
from tfnorm.ops.dice import rectify, rectify_gradient

LAYERS = pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
EVERY_MODE = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make(Layer, channels, **arguments):
    """A layer whose trainable weights are no initial values, and those."""
    layer = Layer(**arguments)
    layer.build((None, channels))
    rng = np.random.default_rng(channels)
    weights = [rng.normal(1, 0.3, channels).astype(np.float32) for _ in layer.trainable_weights]
    for variable, value in zip(layer.trainable_weights, weights, strict=True):
        variable.assign(value)
    return layer, weights


def expected_step(layer, x, dy, weights):
    """y, dx and the gradients of the weights."""
    form = {"epsilon": layer.epsilon}
    _, mean, variance = oracles.moments(x)
    if isinstance(layer, Dice):
        y = oracles.dice(x, mean, variance, *weights, **form)
        return y, *oracles.dice_gradients(x, dy, *weights, **form)
    y = oracles.normalize(x, mean, variance, *weights, **form)
    return y, *oracles.normalize_gradients(x, dy, weights[0], **form)


@LAYERS
@EVERY_MODE
@pytest.mark.parametrize(
    "shape",
    [(64, 5), (5001, 7), (70_001, 4), (12, 6000)],
    ids=["small", "odd", "long", "wide"],
)
def test_values_and_gradients_are_those_of_numpy(Layer, mode, shape, rng):
    x = rng.normal(rng.normal(size=shape[1]), 2, shape).astype(np.float32)
    dy = rng.normal(size=shape).astype(np.float32)
    layer, weights = make(Layer, shape[1], momentum=0.0)
    step = run(layer, x, dy, mode=mode)
    y, dx, *gradients = expected_step(layer, x, dy, weights)
    assert_close(step.y, y, 2e-6)
    assert_close(step.dx, dx, 2e-6)
    for gradient, expected in zip(step.weights, gradients, strict=True):
        assert_close(gradient, expected)
    _, mean, variance = oracles.moments(x)
    assert_close(layer.moving_mean, mean, 2e-6)
    assert_close(layer.moving_variance, variance)


@LAYERS
@EVERY_MODE
def test_a_large_batch_in_float64_is_exact(Layer, mode, rng):
    x, dy = rng.normal(1, 2, (2, 40_001, 4))
    layer, weights = make(Layer, 4, dtype="float64")
    step = run(layer, x, dy, mode=mode)
    for found, expected in zip(
        (step.y, step.dx, *step.weights), expected_step(layer, x, dy, weights), strict=True
    ):
        assert_close(found, expected, 1e-10)


@LAYERS
@pytest.mark.parametrize("jit_compile", [False, True])
def test_batches_of_other_sizes_are_not_traced_anew(Layer, jit_compile):
    """Large ones are compiled within a graph that is not; that is one trace for any size too."""
    layer = Layer()
    layer.build((None, 64))
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, 64))], jit_compile=jit_compile)
    def step(x):
        traces.append(x.shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return tape.gradient(y, x)

    step(tf.ones((1, 64)))
    inner = [function.experimental_get_tracing_count() for function in compiled_formulas(64)]
    for size in (2048, 3000):
        step(tf.ones((size, 64)))
    assert len(traces) == 1
    assert inner == [f.experimental_get_tracing_count() for f in compiled_formulas(64)]


def compiled_formulas(channels):
    formulas = (normalize, normalize_gradient, rectify, rectify_gradient)
    return [loops._compiled(formula, channels) for formula in formulas]


@LAYERS
@EVERY_MODE
@pytest.mark.parametrize("shape", [(6, 5, 2000), (40, 3, 300)])
def test_channels_before_other_axes(Layer, mode, shape, rng):
    x, dy = rng.normal(1, 2, (2, *shape)).astype(np.float32)
    layer = Layer(axis=1)
    step = run(layer, x, dy, mode=mode)
    twin, weights = Layer(), [w.numpy() for w in layer.trainable_weights]
    rows = np.moveaxis(x, 1, -1).reshape(-1, shape[1])
    y, dx, *gradients = expected_step(
        twin, rows, np.moveaxis(dy, 1, -1).reshape(rows.shape), weights
    )
    assert_close(np.moveaxis(step.y, 1, -1).reshape(rows.shape), y, 2e-6)
    assert_close(np.moveaxis(step.dx, 1, -1).reshape(rows.shape), dx, 2e-6)
    for gradient, expected in zip(step.weights, gradients, strict=True):
        assert_close(gradient, expected)


@LAYERS
@EVERY_MODE
@pytest.mark.parametrize("arguments", [{}, {"synchronized": True}, {"unbiased_variance": True}])
def test_a_batch_dimension_that_is_unknown_takes_any_batch(Layer, mode, arguments, rng):
    """Of no row and of one too; and Keras's layer makes the statistics of an empty batch NaN."""
    layer, weights = make(Layer, 3, momentum=0.0, **arguments)
    call = lambda x: layer(x, training=True)  # noqa: E731
    if mode != "eager":
        call = tf.function(
            call, input_signature=[tf.TensorSpec((None, 3))], jit_compile=mode == "xla"
        )
    for rows in (5, 1, 0):
        x = rng.normal(1, 2, (rows, 3)).astype(np.float32)
        before = layer.get_weights()
        y = call(tf.constant(x))
        assert y.shape == (rows, 3)
        if rows == 0:
            assert_weights(layer, before)
            continue
        assert_close(y, expected_step(layer, x, x, weights)[0])
        count, mean, variance = oracles.moments(x)
        unbiased = count / np.maximum(count - 1, 1) if arguments.get("unbiased_variance") else 1
        assert_close(layer.moving_mean, mean, 1e-6)
        assert_close(layer.moving_variance, unbiased * variance, 1e-6)


@LAYERS
@EVERY_MODE
def test_gradients_of_an_empty_batch_are_zero(Layer, mode):
    layer = Layer()
    step = run(layer, np.zeros((0, 3)), np.zeros((0, 3)), mode=mode)
    assert step.dx.shape == (0, 3)
    for gradient in step.weights:
        np.testing.assert_array_equal(gradient, [0, 0, 0])


@LAYERS
@EVERY_MODE
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_values_and_gradients_under_every_policy(Layer, mode, policy, rng):
    layer = Layer(dtype=policy)
    x, dy = (
        tf.cast(v, layer.compute_dtype).numpy().astype(np.float64)
        for v in (rng.normal(30, 2, (200, 3)), rng.normal(size=(200, 3)))
    )
    step = run(layer, x, dy, mode=mode)
    y, dx, *gradients = expected_step(layer, x, dy, [w.numpy() for w in layer.trainable_weights])
    rounding = {"float16": 1e-3, "bfloat16": 8e-3, "float64": 1e-12}[layer.compute_dtype]
    assert step.y.dtype == step.dx.dtype == layer.compute_dtype
    assert_close(step.y, y, rounding)
    assert_close(step.dx, dx, rounding)
    weight_rounding = {"float16": 1e-3, "float64": 1e-12}.get(policy, 1e-5)
    for gradient, expected in zip(step.weights, gradients, strict=True):
        assert_close(gradient, expected, weight_rounding)


@LAYERS
@pytest.mark.parametrize("jit_compile", ["auto", True, False])
def test_fit_trains_as_numpy_does(Layer, jit_compile, rng):
    """Three steps of gradient descent on the mean squared error, the last batch being smaller."""
    x, target = rng.normal(1, 2, (2, 40, 3)).astype(np.float32)
    layer, weights = make(Layer, 3, momentum=0.5)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=jit_compile)
    model.fit(x, target, batch_size=16, shuffle=False, verbose=0)
    moving = oracles.MovingStatistics(3, 0.5)
    for start in (0, 16, 32):
        batch, wanted = x[start : start + 16], target[start : start + 16]
        y, *_ = expected_step(layer, batch, batch, weights)
        dy = 2 * (y - wanted) / y.size
        _, _, *gradients = expected_step(layer, batch, dy, weights)
        weights = [w - 0.5 * g for w, g in zip(weights, gradients, strict=True)]
        moving.update(*oracles.moments(batch))
    for weight, expected in zip(layer.trainable_weights, weights, strict=True):
        assert_close(weight, expected)
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_variance, moving.variance, 1e-6)


# What predict says of a generator whose length nobody knows.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@pytest.mark.parametrize(
    "layer", [BatchNormalization(), Dice(), BatchNormalization(virtual_batch_size=3)]
)
def test_fit_takes_data_whose_channels_are_unknown_as_that_of_a_generator_is(layer, rng):
    x = rng.normal(1, 2, (8, 3)).astype(np.float32)
    unknown = tf.TensorSpec((None, None))
    data = tf.data.Dataset.from_generator(
        lambda: iter([(x, x)]), output_signature=(unknown, unknown)
    )
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    model.fit(data, verbose=0)
    assert_close(layer.moving_mean, 0.01 * oracles.moments(x)[1])
    assert model.predict(data, verbose=0).shape == (8, 3)


@pytest.mark.slow
@LAYERS
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_large_batches_train_while_every_op_is_checked_for_nan_and_afterwards(Layer, mode, rng):
    x = tf.constant(rng.normal(1, 2, (2**13, 8)), tf.float32)
    layer, weights = make(Layer, 8)
    expected = expected_step(layer, x.numpy(), x.numpy(), weights)[0]
    tf.debugging.enable_check_numerics()
    try:
        assert_close(run(layer, x, mode=mode).y, expected, 2e-6)
    finally:
        tf.debugging.disable_check_numerics()
    assert_close(run(layer, x, mode=mode).y, expected, 2e-6)
