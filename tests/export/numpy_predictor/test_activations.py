"""The activations in NumPy are Keras's."""

import inspect
import math

import keras
import numpy as np
import pytest
from export.numpy_predictor.compared import ACTIVATIONS, check, normal

from tfnorm.export.numpy_predictor import activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_keras_s_for_small_and_for_extreme_inputs(name):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Activation(name)])
    x = np.array([[0, 1e-8, -1e-8, 0.5, -0.5, 3], [-3, 1, -1, 1e3, -1e3, 6]], np.float32)
    if name == "exponential":
        x = np.minimum(x, 10)
    check(model, np.concatenate([x, normal(50, 6, scale=3)]))


def test_large_logits_neither_overflow_nor_warn():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Activation("sigmoid")])
    x = np.array([[1e30], [-1e30], [80], [-80], [0]], np.float32)
    predictor = check(model, x, atol=0)
    np.testing.assert_allclose(predictor(x)[3], np.exp(-80), rtol=1e-6)


@pytest.mark.parametrize(
    "activation", [f for _, f in inspect.getmembers(activations, inspect.isfunction)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_activation_keeps_the_dtype_and_takes_no_rows(activation, dtype):
    x = np.array([[-4.0, -0.5, 0.0, 0.5, 1.0, 8.0]], dtype)
    assert activation(x).dtype == dtype
    assert activation(x[:0]).shape == (0, *activation(x).shape[1:])


@pytest.mark.parametrize(
    ("activation", "x", "expected"),
    [
        (activations.celu, -2.0, 0.5 * (np.exp(-4) - 1)),
        (activations.elu, -2.0, 0.5 * (np.exp(-2) - 1)),
        (activations.leaky_relu, -2.0, -1.0),
        (activations.hard_shrink, 0.4, 0.0),
        (activations.soft_shrink, -2.0, -1.5),
        (activations.squareplus, 3.0, (3 + np.sqrt(9.5)) / 2),
    ],
)
def test_an_argument_is_used(activation, x, expected):
    np.testing.assert_allclose(activation(np.array(x), 0.5), expected, rtol=1e-12)


def test_a_clipped_relu_has_a_threshold_a_slope_below_it_and_a_largest_value():
    x = np.array([-1.0, 0.5, 1.0, 1.5, 9.0])
    found = activations.clipped_relu(x, max_value=6.0, negative_slope=0.5, threshold=1.0)
    assert found.tolist() == [-1.0, -0.25, 0.0, 1.5, 6.0]


def test_gelu_is_exact_and_its_approximation_is_near():
    x = np.linspace(-5, 5, 41)
    exact = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x]
    np.testing.assert_allclose(activations.gelu(x), exact, rtol=1e-12)
    assert 1e-5 < np.abs(activations.gelu_tanh(x) - exact).max() < 1e-3
