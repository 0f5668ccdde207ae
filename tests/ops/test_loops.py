"""The loops for XLA on a CPU are equal to the exact sums but for rounding."""

import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm._tensorflow import inlined_functions
from tfnorm.ops import loops
from tfnorm.ops.batch_normalization import normalize, normalize_gradient
from tfnorm.ops.dice import rectify, rectify_gradient
from tfnorm.ops.moments import Exact, flat_moments

# The gradient's summands are written but for the last.
SHAPES = [(1, 3), (37, 3), (9008, 32), (9001, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_moments_are_the_exact_ones(shape, masked):
    x, _, counted = drawn(shape, masked)
    expected = flat_moments(x, counted)
    found = tf.function(flat_moments, jit_compile=True)(x, counted, loops.Loops)
    for moment, value in zip(found, expected, strict=True):
        assert_close(moment, value, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["BatchNormalization", "Dice"])
def test_outputs_and_gradients_are_the_exact_ones_in_float64(name, shape, masked):
    x, dy, counted = drawn(shape, masked)
    forward, backward = {
        "BatchNormalization": (normalize, normalize_gradient),
        "Dice": (rectify, rectify_gradient),
    }[name]

    def step(sums, dtype):
        wide_x, wide_dy = tf.cast(x, dtype), tf.cast(dy, dtype)
        weights = [tf.cast(tf.linspace(0.5, 1.5, shape[1]), dtype)] * (
            2 if name == "BatchNormalization" else 1
        )
        y, own = forward(sums, wide_x, *weights, counted, 1e-3)
        return y, *backward(sums, wide_dy, wide_x, *weights, own, counted, 1e-3)

    loop = tf.function(lambda: step(loops.Loops, tf.float32), jit_compile=True, autograph=False)
    for value, expected in zip(loop(), step(Exact, tf.float64), strict=True):
        assert_close(value, expected, 2e-6)


def drawn(shape, masked):
    rng = np.random.default_rng(0)
    x, dy = (tf.constant(v, tf.float32) for v in rng.normal(1, 2, (2, *shape)))
    return x, dy, tf.constant(np.arange(shape[0])[:, None] % 3 < 2) if masked else None


def test_they_are_for_large_tensors_on_a_cpu_alone(monkeypatch):
    x = tf.ones((4, 2))
    assert loops.loops_suit(x)
    assert not loops.loops_suit(tf.ones((4, 2, 2)))
    with inlined_functions():
        assert not loops.loops_suit(x)
    for accelerator in ("GPU", "TPU", "XPU"):
        devices = [tf.config.LogicalDevice(name, name) for name in ("CPU", accelerator)]
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda devices=devices: devices)
        assert not loops.loops_suit(x)
