"""Dense and Conv layers that take up what is done to their inputs or outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import has_other_weights, has_replaced_call
from tfnorm.export.folding.affine import Affine, fit, float64, rounded

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
# What the output depends on besides kernel and bias.
_OPTIONS = (
    "activation",
    "data_format",
    "dilation_rate",
    "filters",
    "groups",
    "kernel_size",
    "padding",
    "strides",
    "units",
)


def is_linear(operation: keras.Operation) -> bool:
    """Whether it is a Dense or Conv layer as Keras has them, its activation apart."""
    return (
        type(operation) in (keras.layers.Dense, *_CONVOLUTIONS)
        and not has_replaced_call(operation)
        and not has_other_weights(operation)
    )


def has_activation(layer: keras.layers.Layer) -> bool:
    return layer.activation is not keras.activations.linear


def pads(layer: keras.layers.Layer) -> bool:
    """Whether `layer` reads zeros beyond the edge of its input."""
    return getattr(layer, "padding", "valid") != "valid"


def channel_axis(layer: keras.layers.Layer, rank: int) -> int:
    """The axis of the channels, of the input and the output alike."""
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return 1 if first else rank - 1


@dataclass(frozen=True, eq=False)
class Linear:
    """A Dense or Conv layer, y = activation(kernel (x - center) + bias), in float64."""

    layer: keras.layers.Layer
    kernel: np.ndarray
    bias: np.ndarray
    center: np.ndarray

    @classmethod
    def of(cls, layer: keras.layers.Layer) -> Linear:
        kernel = float64(layer.kernel)
        bias = float64(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1])
        return cls(layer, kernel, bias, np.zeros(kernel.shape[-2] * getattr(layer, "groups", 1)))

    def then(self, affine: Affine) -> Linear:
        """scale (kernel (x - center) + bias - affine.center) + offset"""
        return replace(
            self,
            kernel=self.kernel * affine.scale,
            bias=affine.scale * (self.bias - affine.center) + affine.offset,
        )

    def after(self, affine: Affine) -> Linear:
        """kernel (scale (x - affine.center) + offset - center) + bias"""
        return replace(
            self,
            kernel=self.kernel * self._as_kernel(affine.scale),
            bias=self.bias + self._summed(self.kernel, affine.offset - self.center),
            center=affine.center,
        )

    def after_product(self, kernel: np.ndarray) -> Linear:
        """kernel x + bias of the product of an x and another kernel, for a Dense layer."""
        bias = self.bias - self._summed(self.kernel, self.center)
        center = np.zeros(len(kernel))
        return replace(self, kernel=kernel @ self.kernel, bias=bias, center=center)

    def fits(self, dtype: str) -> bool:
        """Whether `dtype` can hold it."""
        return fit(dtype, self.kernel, self.bias, self._at_zero(self.kernel))

    def build(self, input_shape: Sequence[int | None]) -> keras.layers.Layer:
        """A layer of the same kind with this kernel and bias."""
        built = type(self.layer)(
            **{name: getattr(self.layer, name) for name in _OPTIONS if hasattr(self.layer, name)},
            dtype=self.layer.dtype_policy,
            kernel_initializer="zeros",
        )
        shape = list(input_shape)
        shape[channel_axis(self.layer, len(shape))] = len(self.center)
        built.build(shape)
        built.kernel.assign(self.kernel)
        # As small as the constants of a multiply and add, and read as fast.
        bias = self._at_zero(rounded(self.kernel, built.variable_dtype))
        built.bias = tf.constant(bias, built.variable_dtype)
        return built

    def _at_zero(self, kernel: np.ndarray) -> np.ndarray:
        """The bias of a layer whose inputs the center is not subtracted from."""
        return np.asarray(self.bias - self._summed(kernel, self.center))

    def _summed(self, kernel: np.ndarray, channels: np.ndarray) -> np.ndarray:
        """kernel x, for an x that is the same `[C]` everywhere."""
        product = kernel * self._as_kernel(channels)
        return np.asarray(product.sum(axis=tuple(range(product.ndim - 1))))

    def _as_kernel(self, channels: np.ndarray) -> np.ndarray:
        """The channels of the input, `[C]`, laid out as in the kernel: `[C / groups, filters]`."""
        groups = getattr(self.layer, "groups", 1)
        return np.repeat(channels.reshape(groups, -1).T, self.kernel.shape[-1] // groups, axis=1)
