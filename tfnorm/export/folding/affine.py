"""BatchNormalization and Dice at inference: one multiply and one add a channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm import layers
from tfnorm._keras import has_replaced_call

# Where a mean is d standard deviations from zero, scale x and offset cancel to 1/d of their size,
# which costs log10(d) of the 7 digits of a float32; scale (x - mean) costs none.
FARTHEST_MEAN = 16


# What is run instead of a layer's `call`, with its arguments.
Call = Callable[..., tf.Tensor]


@dataclass(frozen=True, eq=False)
class Affine:
    """y = scale x + offset, each `[C]` in float64."""

    scale: np.ndarray
    offset: np.ndarray

    def after(self, first: Affine) -> Affine:
        """scale (first.scale x + first.offset) + offset"""
        return Affine(self.scale * first.scale, self.scale * first.offset + self.offset)

    def fits(self, dtype: str) -> bool:
        """Whether `dtype` can hold it."""
        return fit(dtype, self.scale, self.offset)


def fit(dtype: str, *values: np.ndarray) -> bool:
    """Whether `dtype` can hold the values."""
    with np.errstate(over="ignore"):
        return all(np.isfinite(v.astype(dtype)).all() for v in values)


def is_batch_normalization(layer: keras.layers.Layer) -> bool:
    return _runs(layer, keras.layers.BatchNormalization) or _runs(layer, layers.BatchNormalization)


def is_dice(layer: keras.layers.Layer) -> bool:
    return _runs(layer, layers.Dice)


def _runs(layer: keras.layers.Layer, kind: Any) -> bool:
    """Whether `layer` computes what `kind` does."""
    return (
        isinstance(layer, kind) and type(layer).call is kind.call and not has_replaced_call(layer)
    )


def standardization(layer: keras.layers.Layer) -> Affine:
    """(x - mean) / sqrt(variance + epsilon), with the moving statistics."""
    scale = 1 / np.sqrt(float64(layer.moving_variance) + layer.epsilon)
    return Affine(scale, -float64(layer.moving_mean) * scale)


def normalization(layer: keras.layers.Layer) -> Affine:
    """What a BatchNormalization does at inference."""
    gamma = np.ones(()) if layer.gamma is None else float64(layer.gamma)
    beta = np.zeros(()) if layer.beta is None else float64(layer.beta)
    return Affine(gamma, beta).after(standardization(layer))


def farthest_mean(layer: keras.layers.Layer) -> tuple[int, float]:
    """The channel whose mean is farthest from zero, and how many standard deviations that is."""
    distances = np.abs(standardization(layer).offset)
    channel = int(np.argmax(distances))
    return channel, float(distances[channel])


def normalize(layer: keras.layers.Layer, affine: Affine) -> Call:
    """A `call` for a BatchNormalization: scale x + offset."""

    def infer(x: tf.Tensor) -> tf.Tensor:
        scale, offset = _broadcast(layer, x, affine.scale, affine.offset)
        return x * scale + offset

    return _at_inference(layer, infer)


def activate(layer: keras.layers.Layer) -> Call:
    """A `call` for a Dice: x (alpha + (1 - alpha) sigmoid(scale x + offset))."""
    inner = standardization(layer)
    alpha = float64(layer.alpha)

    def infer(x: tf.Tensor) -> tf.Tensor:
        scale, offset = _broadcast(layer, x, inner.scale, inner.offset)
        slope, rest = _broadcast(layer, x, alpha, 1 - alpha)
        return x * (slope + rest * tf.sigmoid(x * scale + offset))

    return _at_inference(layer, infer)


def leave_out(layer: keras.layers.Layer) -> Call:
    """A `call` for a BatchNormalization that another layer has taken up."""
    # No tf.identity: it would keep TensorFlow from fusing what is before and after.
    return _at_inference(layer, lambda x: x)


def _at_inference(layer: keras.layers.Layer, infer: Callable[[tf.Tensor], tf.Tensor]) -> Call:
    own = layer.call

    def call(inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if training:
            return own(inputs, training=training, mask=mask)
        return infer(tf.cast(inputs, layer.compute_dtype))

    return call


def _broadcast(layer: keras.layers.Layer, x: tf.Tensor, *channels: np.ndarray) -> list[tf.Tensor]:
    shape = [1] * x.shape.rank
    shape[layer.axis] = -1
    return [tf.constant(values.reshape(shape), x.dtype) for values in channels]


def float64(weight: keras.Variable) -> np.ndarray:
    """A weight as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float64)
