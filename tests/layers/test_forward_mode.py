"""Derivatives in forward mode, by `tf.autodiff.ForwardAccumulator`, and those of gradients.

The oracle is the central difference of NumPy's formulas, in float64, along the tangent.
"""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close
from running import MODES

from tfnorm import ops
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.ops import loops

LAYERS = pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
EPSILON = 0.1
# Of four channels, where the loops for XLA on a CPU begin.
LARGE = 2**14


@pytest.fixture
def path(request, monkeypatch):
    if request.param == "as with an accelerator":
        monkeypatch.setattr(loops, "loops_suit", lambda x: False)


def drawn(rows):
    rng = np.random.default_rng(rows)
    x, tangent = rng.normal(1, 2, (2, rows, 4)).astype(np.float32)
    return x, tangent, *rng.uniform(0.5, 1.5, (2, 4)).astype(np.float32)


def forward(Layer, x, first, second, mask=None):
    _, mean, variance = oracles.moments(x, mask=mask)
    if Layer is Dice:
        return oracles.dice(x, mean, variance, first, epsilon=EPSILON)
    return oracles.normalize(x, mean, variance, first, second, epsilon=EPSILON)


def gradient(Layer, x, first, second):
    """dL/dx of L = sum(sin(y))."""
    dy = np.cos(forward(Layer, x, first, second))
    formula = oracles.dice_gradients if Layer is Dice else oracles.normalize_gradients
    return formula(x, dy, first, epsilon=EPSILON)[0]


def difference(function, x, tangent, step=1e-5):
    x, tangent = x.astype(np.float64), tangent.astype(np.float64)
    return (function(x + step * tangent) - function(x - step * tangent)) / (2 * step)


def jvp(call, x, tangent):
    x = tf.constant(x)
    with tf.autodiff.ForwardAccumulator(x, tf.constant(tangent)) as accumulator:
        y = call(x)
    return accumulator.jvp(y)


def slope(call):
    """dL/dx of L = sum(sin(call(x))), as a function."""

    def found(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.sin(call(x)))
        return tape.gradient(loss, x)

    return found


def make(Layer, first, second, **arguments):
    layer = Layer(epsilon=EPSILON, **arguments)
    layer.build((None, 4))
    for weight, value in zip(layer.trainable_weights, (first, second), strict=False):
        weight.assign(value)
    return layer


@pytest.mark.slow
@LAYERS
@pytest.mark.parametrize(
    ("mode", "rows", "path"),
    [
        ("eager", 9, "as it is"),
        ("eager", LARGE, "as it is"),
        ("graph", LARGE, "as it is"),
        ("xla", LARGE, "as it is"),
        ("graph", LARGE, "as with an accelerator"),
    ],
    indirect=["path"],
)
def test_a_training_call_has_its_derivative_and_so_has_its_gradient(Layer, mode, rows, path):
    x, tangent, first, second = drawn(rows)
    layer = make(Layer, first, second)
    call = lambda x: layer(x, training=True)  # noqa: E731
    assert_close(
        jvp(MODES[mode](call), x, tangent),
        difference(lambda x: forward(Layer, x, first, second), x, tangent),
        1e-5,
    )
    expected = difference(lambda x: gradient(Layer, x, first, second), x, tangent)
    assert_close(jvp(MODES[mode](slope(call)), x, tangent), expected, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("Layer", "mode"), [(Dice, "graph"), (BatchNormalization, "xla")])
def test_so_it_has_where_the_accumulator_or_the_tape_is_on_the_other_side_of_the_function(
    Layer, mode
):
    x, tangent, first, second = drawn(9)
    layer = make(Layer, first, second)
    call = lambda x: layer(x, training=True)  # noqa: E731
    expected = difference(lambda x: gradient(Layer, x, first, second), x, tangent)
    inside = MODES[mode](lambda: jvp(slope(call), x, tangent))()
    assert_close(inside, expected, 1e-5)
    assert_close(jvp(slope(MODES[mode](call)), x, tangent), expected, 1e-5)


@LAYERS
@pytest.mark.parametrize("mode", ["eager", "xla"])
@pytest.mark.parametrize(
    "arguments", [{"mask": True}, {"synchronized": True}, {"training": False}], ids=str
)
def test_so_have_calls_with_a_mask_synchronized_and_at_inference(Layer, mode, arguments):
    x, tangent, first, second = drawn(9)
    layer = make(Layer, first, second, synchronized=arguments.get("synchronized", False))
    mask = np.arange(9) % 3 < 2 if "mask" in arguments else None
    found = MODES[mode](lambda x: layer(x, training=arguments.get("training", True), mask=mask))

    def expected(x):
        if "training" not in arguments:
            return forward(Layer, x, first, second, mask)
        if Layer is Dice:
            return oracles.dice(x, 0.0, 1.0, first, epsilon=EPSILON)
        return oracles.normalize(x, 0.0, 1.0, first, second, epsilon=EPSILON)

    assert_close(jvp(found, x, tangent), difference(expected, x, tangent), 1e-5)


@pytest.mark.parametrize("arguments", [{"virtual_batch_size": 3}, {"axis": 1}], ids=str)
def test_so_have_ghost_batches_and_channels_that_are_not_last(arguments):
    x, tangent, first, second = drawn(9)
    layer = make(BatchNormalization, first, second, **arguments)
    ghosts = [slice(0, 3), slice(3, 6), slice(6, 9)] if "virtual_batch_size" in arguments else [...]

    def expected(x):
        return np.concatenate(
            [forward(BatchNormalization, x[rows], first, second) for rows in ghosts]
        )

    assert_close(
        jvp(lambda x: layer(x, training=True), x, tangent), difference(expected, x, tangent), 1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "rows"), [("eager", 9), ("xla", 9), ("graph", LARGE)])
@pytest.mark.parametrize("name", ["batch_normalization", "dice", "moments"])
def test_so_have_the_functional_forms(name, mode, rows):
    x, tangent, first, _ = drawn(rows)
    Layer = {"batch_normalization": BatchNormalization, "dice": Dice}.get(name)
    given = {"gamma": first} if Layer is BatchNormalization else {"alpha": first}

    def found(x):
        if Layer is None:
            return tf.stack(ops.moments(x))
        return getattr(ops, name)(x, **given, epsilon=EPSILON)

    def expected(x):
        return np.stack([x.mean(0), x.var(0)]) if Layer is None else forward(Layer, x, first, 0.0)

    assert_close(jvp(MODES[mode](found), x, tangent), difference(expected, x, tangent), 1e-5)


@LAYERS
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_derivative_by_the_weights(Layer, mode):
    x, _, first, second = drawn(9)
    layer = make(Layer, first, second)
    weight = layer.trainable_weights[0].value
    call = MODES[mode](lambda: layer(tf.constant(x), training=True))
    call()
    with tf.autodiff.ForwardAccumulator(weight, tf.constant(second)) as accumulator:
        y = call()
    expected = difference(lambda first: forward(Layer, x, first, second), first, second)
    assert_close(accumulator.jvp(y), expected, 1e-5)
