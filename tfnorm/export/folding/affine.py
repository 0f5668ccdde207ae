"""BatchNormalization and Dice at inference: one multiply and one add a channel, or a subtraction more.

With u for the rounding of a float32, 2^-24, and z for the normalized x, scale (x - mean) is rounded by some
4 u |z|, once for each of its factors and operations. scale x + offset, with a mean d standard deviations
from zero, is rounded by 2 u (|z| + d). That is less than twice as much where d is at most 1, as some |z| is
1 or more. Where a mean is farther from zero it is subtracted first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm import layers
from tfnorm._keras import has_replaced_call

# In standard deviations.
NEAR_MEAN = 1.0

# What is run instead of a layer's `call`, with its arguments.
Call = Callable[..., tf.Tensor]


@dataclass(frozen=True, eq=False)
class Affine:
    """y = scale (x - center) + offset, each `[C]` in float64.

    Attributes:
        far: whether a center is too far from zero to become a part of the offset.
    """

    scale: np.ndarray
    offset: np.ndarray
    center: np.ndarray
    far: bool

    def after(self, first: Affine) -> Affine:
        """scale (first.scale (x - first.center) + first.offset - center) + offset"""
        offset = self.scale * (first.offset - self.center) + self.offset
        return replace(first, scale=self.scale * first.scale, offset=offset)

    def of_deviations(self) -> Affine:
        """The same of x - center."""
        return replace(self, center=np.zeros_like(self.center), far=False)

    def at_zero(self) -> np.ndarray:
        """y where x is 0."""
        return np.asarray(self.offset - self.scale * self.center)

    def fits(self, dtype: str) -> bool:
        """Whether `dtype` can hold it."""
        return fit(dtype, self.scale, self.offset, self.at_zero())

    def __call__(self, x: tf.Tensor, axis: int) -> tf.Tensor:
        """y of a float tensor, in its dtype."""
        scale = rounded(self.scale, x.dtype.name)
        if self.far:
            x -= _along(axis, x, self.center)
            offset = self.offset
        else:
            offset = replace(self, scale=scale).at_zero()
        return x * _along(axis, x, scale) + _along(axis, x, offset)


def fit(dtype: str, *values: np.ndarray) -> bool:
    """Whether `dtype` can hold the values."""
    with np.errstate(over="ignore"):
        return all(np.isfinite(v.astype(dtype)).all() for v in values)


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values as `dtype` holds them, in float64: what else is computed makes up for their rounding."""
    return values.astype(dtype).astype(np.float64)


def is_batch_normalization(layer: keras.layers.Layer) -> bool:
    return _runs(layer, keras.layers.BatchNormalization) or _runs(layer, layers.BatchNormalization)


def is_dice(layer: keras.layers.Layer) -> bool:
    return _runs(layer, layers.Dice)


def is_whitening(layer: keras.layers.Layer) -> bool:
    return _runs(layer, layers.Whitening)


KINDS = (is_batch_normalization, is_dice, is_whitening)
"""Of what a folded model has something else in the place."""


def _runs(layer: keras.layers.Layer, kind: Any) -> bool:
    """Whether `layer` computes what `kind` does."""
    return (
        isinstance(layer, kind) and type(layer).call is kind.call and not has_replaced_call(layer)
    )


def standardization(layer: keras.layers.Layer) -> Affine:
    """(x - mean) / sqrt(variance + epsilon), with the moving statistics."""
    mean, variance = float64(layer.moving_mean), float64(layer.moving_variance)
    _, distance = farthest_mean(layer)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    return Affine(scale, np.zeros_like(mean), mean, far=not distance <= NEAR_MEAN)


def normalization(layer: keras.layers.Layer) -> Affine:
    """What a BatchNormalization does at inference."""
    standardized = standardization(layer)
    gamma = np.ones(()) if layer.gamma is None else float64(layer.gamma)
    beta = np.zeros(()) if layer.beta is None else float64(layer.beta)
    return replace(
        standardized,
        scale=standardized.scale * gamma,
        offset=standardized.offset + beta,
    )


def farthest_mean(layer: keras.layers.Layer) -> tuple[int, float]:
    """The channel whose mean is farthest from zero, and how many standard deviations that is.

    A constant that is not 0 is infinitely far: normalized it is beta to the last digit.
    """
    mean, variance = np.abs(float64(layer.moving_mean)), float64(layer.moving_variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.where(mean > 0, mean / np.sqrt(variance), 0)
    channel = int(np.argmax(distances))
    return channel, float(distances[channel])


def normalize(layer: keras.layers.Layer, affine: Affine) -> Call:
    """A `call` for a BatchNormalization: the affine alone."""
    return at_inference(layer, lambda x: affine(x, layer.axis))


def activate(layer: keras.layers.Layer) -> Call:
    """A `call` for a Dice: x (alpha + (1 - alpha) sigmoid(affine(x)))."""
    inner = standardization(layer)
    alpha = float64(layer.alpha)

    def infer(x: tf.Tensor) -> tf.Tensor:
        slope, rest = (_along(layer.axis, x, v) for v in (alpha, 1 - alpha))
        return x * (slope + rest * tf.sigmoid(inner(x, layer.axis)))

    return at_inference(layer, infer)


def deviations(layer: keras.layers.Layer, center: np.ndarray, axis: int) -> Call:
    """A `call` for a layer of which another one has taken up all but that the mean is subtracted."""
    return at_inference(layer, lambda x: x - _along(axis, x, center))


def leave_out(layer: keras.layers.Layer) -> Call:
    """A `call` for a BatchNormalization that another layer has taken up."""
    # No tf.identity: it would keep TensorFlow from fusing what is before and after.
    return at_inference(layer, lambda x: x)


def at_inference(layer: keras.layers.Layer, infer: Callable[[tf.Tensor], tf.Tensor]) -> Call:
    """`infer` of the inputs in the layer's dtype, and the layer's own `call` where it trains."""
    own = layer.call

    def call(inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if training:
            return own(inputs, training=training, mask=mask)
        return infer(tf.cast(inputs, layer.compute_dtype))

    return call


def _along(axis: int, x: tf.Tensor, channels: np.ndarray) -> tf.Tensor:
    shape = [1] * x.shape.rank
    shape[axis] = -1
    return tf.constant(channels.reshape(shape), x.dtype)


def float64(weight: keras.Variable) -> np.ndarray:
    """A weight as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float64)
