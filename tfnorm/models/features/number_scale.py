"""A number on a scale that a network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfnorm.ops.moments import statistics_dtype
from tfnorm.schema.features import Statistic


@keras.saving.register_keras_serializable(package="tfnorm")
class NumberScale(keras.layers.Layer):
    """Numbers as they are, by their logarithm or standardized, each with an axis of its own.

        y = x,    sign(x) log(1 + |x|)    or    (x - mean) / deviation

    in float32 or wider, whatever the layer's policy computes in.

    Args:
        scale: None, `log` or `standard`.
        mean: for `standard`: a number, or one for each of a vector.
        deviation: likewise; where it is 0, x - mean is not divided.
        vector: whether the last axis of x holds a vector; else one is added.
        **kwargs: further arguments of `keras.layers.Layer`.

    Example:

        >>> NumberScale("standard", mean=3.0, deviation=2.0)(tf.constant([5.0, 1.0])).numpy().tolist()
        [[1.0], [-1.0]]
    """

    def __init__(
        self,
        scale: str | None = None,
        mean: Statistic | None = None,
        deviation: Statistic | None = None,
        *,
        vector: bool = False,
        **kwargs: Any,
    ) -> None:
        # Half precision has neither the range nor the digits of numbers that aren't scaled yet.
        super().__init__(autocast=False, **kwargs)
        self.scale = scale
        self.mean = _plain(mean)
        self.deviation = _plain(deviation)
        self.vector = vector

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, statistics_dtype(tf.as_dtype(self.compute_dtype)))
        return tf.cast(self._scaled(x if self.vector else x[..., tf.newaxis]), self.compute_dtype)

    def _scaled(self, x: tf.Tensor) -> tf.Tensor:
        if self.scale == "log":
            return tf.sign(x) * tf.math.log1p(tf.abs(x))
        if self.scale == "standard":
            mean, deviation = (tf.constant(v, x.dtype) for v in (self.mean, self.deviation))
            return (x - mean) / tf.where(deviation > 0, deviation, tf.ones_like(deviation))
        return x

    def compute_output_shape(self, x_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(x_shape) if self.vector else (*x_shape, 1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mean": self.mean,
            "deviation": self.deviation,
            "vector": self.vector,
        }


def _plain(value: Statistic | None) -> float | list[float] | None:
    return value if value is None or isinstance(value, (int, float)) else list(value)
