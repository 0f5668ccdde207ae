"""Whitening: channels that don't correlate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.layers.moving_statistics import Shape, is_number, is_whole
from tfnorm.ops.moments import statistics_dtype, wide
from tfnorm.ops.whitening import (
    METHODS,
    Covariance,
    covariance,
    merge_covariances,
    whitened,
    whitening_kernel,
)


@keras.saving.register_keras_serializable(package="tfnorm")
class Whitening(keras.layers.Layer):
    """Decorrelate the channels, by a mean and a covariance that were computed beforehand.

        covariance = U diag(l) U'
        zca:  y = (x - mean) U diag(l + epsilon)^(-1/2) U'
        pca:  y = (x - mean) U diag(l + epsilon)^(-1/2)

    Over the data that `adapt` was given, y has the mean 0 and no channel of it correlates with another;
    the variance of each is l / (l + epsilon). Nothing is learned: the layer does the same in training and
    at inference, and an example's output does not depend on its batch. Statistics are float32 or wider
    whatever the layer computes in, and are computed in float64.

    Args:
        method: "zca", whose outputs stay as near to the inputs as can be, or "pca", whose outputs are the
            principal components, by falling variance.
        components: how many principal components to keep, 1 to C; None for all. It goes with "pca" alone.
        epsilon: added to the eigenvalues l, 0 or more. Channels that depend on each other, as those that
            are constant do, have an l of 0, and need an epsilon above 0.
        **kwargs: further arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: `[..., C]`, floating point, rank 2 or more. The outputs are `[..., components or C]`.

    Weights, none of them trainable: mean `[C]`, kernel `[C, components or C]`, and the number of rows that
    these were computed from.

    Raises:
        InputError: an argument is out of range, or the layer is called before it was adapted.

    Example:

        >>> layer = Whitening(epsilon=0.0)
        >>> layer.adapt(np.array([[1.0, 1.0], [1.0, 3.0], [5.0, 1.0], [5.0, 3.0]]))
        >>> layer(tf.constant([[5.0, 1.0]])).numpy().round(3).tolist()
        [[1.0, -1.0]]

    Reference:
        Kessy, Lewin and Strimmer, 2018, https://arxiv.org/abs/1512.00809.
    """

    def __init__(
        self,
        method: str = "zca",
        components: int | None = None,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ):
        super().__init__(**{"trainable": False, **kwargs})
        if method not in METHODS:
            raise InputError(f"method is {method!r}; accepted: {', '.join(map(repr, METHODS))}")
        if components is not None and not (is_whole(components) and components >= 1):
            raise InputError(
                f"components must be 1 or more, an integer, or None for all; received {components!r}"
            )
        if components is not None and method != "pca":
            raise InputError(
                f"components are those of method='pca'; received components={components} with "
                f"method={method!r}"
            )
        if not (is_number(epsilon) and epsilon >= 0):
            raise InputError(f"epsilon must be 0 or more; received epsilon={epsilon!r}")
        self.method = method
        self.components = components
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 2 or not input_shape[-1]:
            raise InputError(
                "inputs must have rank 2 or more, and a last axis that is known; "
                f"{self.name} was given the shape {tuple(input_shape)}"
            )
        channels = input_shape[-1]
        if self.components is not None and self.components > channels:
            raise InputError(
                f"{self.name} is to keep {self.components} components of {channels} channels; accepted: 1 "
                f"to {channels}"
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: channels})
        self.mean = self._add_statistic("mean", (channels,))
        self.kernel = self._add_statistic("kernel", (channels, self.components or channels))
        self.rows = self._add_statistic("rows", ())

    def _add_statistic(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        dtype = statistics_dtype(tf.as_dtype(self.variable_dtype)).name
        return self.add_weight(
            shape=shape,
            name=name,
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def adapt(
        self, data: tf.Tensor | np.ndarray[Any, Any] | Iterable[tf.Tensor], steps: int | None = None
    ) -> None:
        """Compute the mean and the covariance, in one pass over data that need not fit in memory.

        What an earlier call has found is replaced.

        Args:
            data: `[..., C]`, an array or a tensor; or the batches of one, each `[..., C]`, such as a
                `tf.data.Dataset`.
            steps: how many batches to read; None for all.

        Raises:
            InputError: there are fewer than two rows, a value is not finite, a batch is no tensor of
                numbers, or channels depend on each other and epsilon is 0.
        """
        batches = [data] if tf.is_tensor(data) or isinstance(data, np.ndarray) else data
        total: Covariance | None = None
        for step, batch in enumerate(batches):
            if step == steps:
                break
            part = covariance(self._rows(batch))
            total = part if total is None else merge_covariances(total, part)
        if total is None or total.count < 2:
            given = 0 if total is None else int(total.count)
            raise InputError(f"{self.name} can't be adapted to {given} rows; accepted: 2 or more")
        if not np.isfinite(total.M2).all():
            raise InputError(
                f"{self.name} can't be adapted to data with NaN or infinite values; leave them out"
            )
        kernel = whitening_kernel(total, self.method, self.epsilon, self.components)
        if not np.isfinite(kernel).all():
            raise InputError(
                f"{self.name} can't be adapted with epsilon={self.epsilon!r}: some channels are constant or "
                "depend on others, whose covariance has an eigenvalue of 0; accepted: an epsilon above 0, or "
                "with method='pca' fewer components"
            )
        self.mean.assign(total.mean)
        self.kernel.assign(kernel)
        self.rows.assign(total.count)

    def _rows(self, batch: Any) -> tf.Tensor:
        """A batch as a tensor with the channels that the layer has."""
        if isinstance(batch, tuple | list | dict):
            raise InputError(
                f"{self.name} is adapted to tensors; received a batch that is a {type(batch).__name__}; "
                "pick the features, as by dataset.map(lambda x, y: x)"
            )
        rows = tf.convert_to_tensor(batch)
        if not self.built:
            self.build(rows.shape)
        channels = self.input_spec.axes[-1]
        if rows.shape.rank < 2 or rows.shape[-1] != channels or rows.dtype.is_complex:
            raise InputError(
                f"{self.name} has {channels} channels; received a batch of {rows.dtype.name} values of the "
                f"shape {tuple(rows.shape)}"
            )
        return rows

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        with tf.init_scope():
            adapted = bool(tf.convert_to_tensor(self.rows) > 0)
        if not adapted:
            raise InputError(
                f"{self.name} has not been adapted, so that it would give zeros; call its adapt(data) first, "
                "or load the weights of one that was"
            )
        return tf.cast(whitened(wide(inputs, None), self.mean, self.kernel), inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.components or input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "method": self.method,
            "components": self.components,
            "epsilon": self.epsilon,
        }
