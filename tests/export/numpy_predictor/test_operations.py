"""The operations of `keras.ops` in NumPy are Keras's."""

import keras
import numpy as np
import pytest
from export.numpy_predictor.compared import ACTIVATIONS, check, normal, pair

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import to_numpy

# These are the names that Keras takes for no operation, or fails on.
NO_OPERATIONS = {"linear", "hard_silu", "hard_swish", "mish"}


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in NO_OPERATIONS])
def test_an_activation_called_as_a_function_is_a_layer_s(name):
    inputs = keras.Input((6,))
    activation = getattr(keras.activations, name)
    check(keras.Model(inputs, activation(inputs)), normal(5, 6))


def test_operations_of_keras_ops_are_numpy_s():
    inputs, rows = pair((4, 3))
    a, b = inputs["a"], inputs["b"]
    ops = keras.ops
    outputs = [
        1 - a * b / 2,
        -a + b**2,
        (a - 1) @ ops.transpose(b, (0, 2, 1)),
        ops.mean(a, axis=1, keepdims=True) + ops.sum(b, axis=(1, 2), keepdims=True),
        ops.max(a, axis=-1),
        ops.min(a, axis=(1, 2), initial=-0.5),
        ops.where(a > b, a, 0.5),
        ops.cast(ops.logical_and(a > 0, ops.logical_not(b > 0)), "float32"),
        ops.clip(a, -0.5, 0.5),
        ops.concatenate([a, b], axis=1)[:, 1:-1, ::2],
        ops.stack([a, b], axis=1)[..., 0],
        ops.reshape(a, (-1, 12)),
        ops.squeeze(ops.expand_dims(a, 1), 1),
        ops.einsum("nij,nij->ni", a, b),
        ops.exp(a) + ops.log(ops.abs(b)) + ops.sqrt(ops.square(a)),
        ops.maximum(a, b) - ops.minimum(a, 0),
        a + np.arange(3, dtype=np.float32),
        keras.activations.relu(a, negative_slope=0.1, max_value=0.7),
        ops.gelu(a),
        ops.softmax(b, axis=1),
    ]
    check(keras.Model(inputs, outputs), rows, atol=2e-6)


def test_an_operation_without_a_formula_is_named():
    inputs = keras.Input((4, 4))
    with pytest.raises(InputError, match="'det'"):
        to_numpy(keras.Model(inputs, keras.ops.det(inputs)))
