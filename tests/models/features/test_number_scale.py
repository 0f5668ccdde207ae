"""Numbers on a scale, against NumPy in float64."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.models.features.number_scale import NumberScale

X = np.array([[0.0, 5.0], [-3.0, 1e6], [7.0, -0.5]], np.float32)
MEAN, DEVIATION = [1.0, -2.0], [2.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, X),
        ({"scale": "log"}, np.sign(X) * np.log(1 + np.abs(X.astype(np.float64)))),
        (
            {"scale": "standard", "mean": MEAN, "deviation": DEVIATION},
            (X.astype(np.float64) - MEAN) / [2.0, 1.0],
        ),
        ({"scale": "standard", "mean": 3.0, "deviation": 4.0}, (X.astype(np.float64) - 3) / 4),
    ],
)
def test_a_vector_is_scaled_and_what_does_not_vary_is_not_divided(arguments, expected):
    layer = NumberScale(**arguments, vector=True)
    np.testing.assert_allclose(layer(tf.constant(X)), expected, rtol=1e-6, atol=1e-7)
    assert layer.compute_output_shape((None, 2)) == (None, 2)


@pytest.mark.parametrize("shape", [(6,), (3, 2)])
def test_a_number_has_an_axis_of_its_own(shape):
    layer = NumberScale("standard", mean=3.0, deviation=0.0)
    y = layer(tf.constant(X.reshape(shape)))
    np.testing.assert_array_equal(y, X.reshape(*shape, 1) - 3)
    assert layer.compute_output_shape((None, *shape[1:])) == (None, *shape[1:], 1)


@pytest.mark.parametrize(
    "statistics", [{"mean": 3.0, "deviation": 4.0}, {"mean": (1.0, 2.0), "deviation": (3.0, 0.0)}]
)
def test_it_is_the_same_from_its_config(statistics):
    """A schema's statistics are tuples, which a file would make lists of."""
    layer = NumberScale("standard", **statistics, vector=True, name="price")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == json.loads(json.dumps(layer.get_config())) == layer.get_config()
    np.testing.assert_array_equal(again(X), layer(X))


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_in_a_model_of_any_numbers_it_gives_floats(dtype):
    inputs = keras.Input((), dtype=dtype)
    model = keras.Model(inputs, NumberScale("log")(inputs))
    found = model(np.array([0, -3], dtype))
    assert found.dtype == model.outputs[0].dtype == "float32"
    np.testing.assert_allclose(found, [[0.0], [-np.log(4)]], rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"scale": "standard", "mean": 1.7e9, "deviation": 1e6}, [0.0, 0.5]),
        ({"scale": "log"}, np.log(1 + np.array([1.7e9, 1.7005e9]))),
    ],
)
def test_half_precision_comes_after_the_scale(policy, arguments, expected):
    """Seconds since 1970 are infinite in float16, and all the same in bfloat16."""
    inputs = keras.Input((), dtype="float32")
    outputs = NumberScale(**arguments, dtype=policy)(inputs)
    found = keras.Model(inputs, outputs)(np.array([1.7e9, 1.7005e9], np.float32))
    assert found.dtype == outputs.dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(
        found.numpy().astype(np.float64)[:, 0], expected, rtol=5e-3, atol=1e-6
    )
