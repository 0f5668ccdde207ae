"""Predicts as the Keras model "layers" does at inference, with NumPy alone.

    python predict.py examples.npz    prints the predictions for the examples, as JSON

    from predict import predict
    scores = predict({"x": ...})

The weights are in weights.npz beside this file, each by its layer's name and its own.
"""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np

# Name, dtype and shape of each input; None is any length.
INPUTS = {
    "x": ("float32", (None, 4)),
}


def whitened(x, mean, kernel):
    """(x - mean) kernel"""
    return np.tensordot(x - mean, kernel, axes=1)


def batch_normalization(x, moving_mean, moving_variance, gamma=1, beta=0, *, epsilon):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, with the moving mean and variance"""
    return gamma * (x - moving_mean) / np.sqrt(moving_variance + epsilon) + beta


def dense(x, kernel, bias=0):
    """x kernel + bias"""
    return np.tensordot(x, kernel, axes=1) + bias


def sigmoid(x):
    """1 / (1 + exp(-x))"""
    e = np.exp(-np.abs(x))  # of -|x|, so that nothing overflows
    return np.where(x >= 0, 1, e) / (1 + e)


def dice(x, alpha, moving_mean, moving_variance, *, epsilon):
    """p x + (1 - p) alpha x, where p = sigmoid((x - mean) / sqrt(variance + epsilon))"""
    p = sigmoid((x - moving_mean) / np.sqrt(moving_variance + epsilon))
    return p * x + (1 - p) * alpha * x


def predict(inputs):
    """The model's predictions: an array of the shape (None, 1).

    Args:
        inputs: a dict of arrays, or of what NumPy makes arrays of, named as in INPUTS; or the array alone.
    """
    w = weights()
    (x,) = checked(inputs)
    white = whitened(x, **w["white"])
    renormalized = batch_normalization(white, **w["renormalized"], epsilon=0.001)
    wide = dense(renormalized, **w["wide"])
    normalized = batch_normalization(wide, **w["normalized"], epsilon=0.001)
    dice_0 = dice(normalized, **w["dice"], epsilon=1e-09)
    score = sigmoid(dense(dice_0, **w["score"]))
    return score


def checked(inputs):
    """The arrays of the inputs, in the order and with the dtypes of INPUTS."""
    if not hasattr(inputs, "keys"):
        inputs = dict(zip(INPUTS, [inputs]))
    arrays = []
    for name, (dtype, shape) in INPUTS.items():
        if name not in inputs:
            raise ValueError(f"input {name!r} is missing; accepted: {', '.join(INPUTS)}")
        given = np.asarray(inputs[name])
        if (
            not np.can_cast(given.dtype, dtype, "same_kind")
            or given.ndim != len(shape)
            or any(size not in (None, length) for size, length in zip(shape, given.shape))
        ):
            raise ValueError(
                f"input {name!r} is {given.dtype} of the shape {given.shape}; "
                f"accepted: {dtype} of the shape {shape}"
            )
        array = given.astype(dtype)
        if array.dtype.kind in "iu" and not np.array_equal(array, given):
            raise ValueError(f"input {name!r} has numbers that are too large for {dtype}")
        arrays.append(array)
    if len({len(array) for array in arrays}) > 1:
        rows = ", ".join(str(len(array)) for array in arrays)
        raise ValueError(f"the inputs have {rows} rows; accepted: as many of each")
    return arrays


@cache
def weights():
    """The weights, as layer -> name -> array."""
    layers = {}
    with np.load(Path(__file__).with_name("weights.npz")) as file:
        for key in file.files:
            layer, name = key.rsplit("/", 1)
            layers.setdefault(layer, {})[name] = file[key]
    return layers


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with np.load(sys.argv[1]) as examples:
        predictions = predict(dict(examples))
    if not isinstance(predictions, dict):
        predictions = {"score": predictions}
    print(json.dumps({name: array.tolist() for name, array in predictions.items()}))
