"""Models and their predictors in NumPy, compared with Keras."""

import warnings

import keras
import numpy as np

from tfnorm.export.numpy_predictor import to_numpy


def normal(*shape, scale=1.0, seed=0):
    """Float32 numbers that are the same wherever a test asks for them."""
    return np.random.default_rng(seed).normal(size=shape, scale=scale).astype(np.float32)


def randomized(model, seed=0):
    """The model with weights and moving statistics that are no initial values."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(size=weight.shape, scale=0.5)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def check(model, examples, atol=1e-6):
    """The predictor gives what the model does at inference, without a warning."""
    expected = keras.tree.map_structure(np.array, model(examples, training=False))
    predictor = to_numpy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = predictor(examples)
    if isinstance(expected, (list, tuple)):
        actual, expected = list(actual.values()), list(expected)
    keras.tree.assert_same_structure(actual, expected)
    for given, wanted in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-6, atol=atol, strict=True)
    return predictor


def check_layer(layer, *shape, scale=1.0, **call):
    """A model of one layer on `shape`, free axes of length 4."""
    inputs = keras.Input(shape, name="x")
    model = randomized(keras.Model(inputs, layer(inputs, **call)))
    lengths = [4 if size is None else size for size in shape]
    for rows in (5, 1):
        x = normal(rows, *lengths, scale=scale)
        predictor = check(model, x)
    # TensorFlow itself fails on no rows for some layers.
    assert all(len(output) == 0 for output in keras.tree.flatten(predictor(x[:0])))
    return predictor


# Keras's sparsemax sums to less than 1, threshold has arguments, and the others are no activations.
_NO_ACTIVATIONS = {"deserialize", "get", "serialize", "sparsemax", "threshold"}
ACTIVATIONS = sorted(
    name
    for name in vars(keras.activations)
    if not name.startswith("_") and name not in _NO_ACTIVATIONS
)


def pair(shape=(3,), other=None):
    """Two inputs, and rows of them."""
    inputs = {"a": keras.Input(shape, name="a"), "b": keras.Input(other or shape, name="b")}
    rows = {"a": normal(5, *shape, seed=1), "b": normal(5, *(other or shape), seed=2)}
    return inputs, rows


IDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 4, 4, 4]], np.int32)


def masked(layers):
    """A model whose first layer is an embedding that masks id 0."""
    inputs = keras.Input((4,), name="ids", dtype="int32")
    x = keras.layers.Embedding(5, 3, mask_zero=True, name="embedding")(inputs)
    return randomized(keras.Model(inputs, layers(x)))


def one(layer, *shape):
    """A model of one layer."""
    return keras.Sequential([keras.Input(shape or (4, 6)), layer])
