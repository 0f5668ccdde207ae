"""What BatchNormalization and Dice share: a moving mean and a moving variance for each channel."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.ops.moments import Moments, channel_moments, check_mask, statistics_dtype, wide
from tfnorm.ops.moving_average import cumulative, moving_average, unbiased, warmed_up
from tfnorm.ops.replicas import (
    mean_over_replicas,
    merge_replicas,
    one_line_where_replicas_cannot_meet,
)

Shape = Sequence[int | None]
Initializer = Callable[..., tf.Tensor]
Observer = Callable[[tf.Tensor, tf.Tensor | None, bool], None]

_WARMED_UP = 2.0**24
"""The count of updates at which float32 stops counting."""


class MovingStatistics(keras.layers.Layer):
    """A layer that keeps moving statistics of its inputs.

        moving <- momentum * moving + (1 - momentum) * batch

    under `training=True` alone, and never when `trainable` is False. Under a `tf.distribute` strategy
    the statistics are the mean over the replicas.
    """

    def __init__(
        self,
        *,
        axis: int | Sequence[int],
        momentum: float | None,
        epsilon: float,
        moving_mean_initializer: Any,
        moving_variance_initializer: Any,
        synchronized: bool,
        unbiased_variance: bool,
        momentum_warmup: bool,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if momentum is not None and not (is_number(momentum) and 0 <= momentum <= 1):
            raise InputError(
                "momentum must be in [0, 1], or None for the cumulative average; "
                f"received momentum={momentum!r}"
            )
        if momentum is None and momentum_warmup:
            raise InputError(
                "momentum_warmup needs a momentum to warm up to; received momentum=None, whose "
                "cumulative average has no warm-up"
            )
        if not (is_number(epsilon) and epsilon >= 0):
            raise InputError(f"epsilon must be 0 or more; received epsilon={epsilon!r}")
        self.axis = _only_axis(axis)
        self.momentum = momentum
        self.epsilon = epsilon
        self.moving_mean_initializer = keras.initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = keras.initializers.get(moving_variance_initializer)
        self.synchronized = synchronized
        self.unbiased_variance = unbiased_variance
        self.momentum_warmup = momentum_warmup
        self.supports_masking = True
        self._observers: tuple[Observer, ...] = ()

    def build(self, input_shape: Shape) -> None:
        rank = len(input_shape)
        if rank < 2:
            raise InputError(
                f"inputs must have rank 2 or more; {self.name} was given the shape {input_shape}"
            )
        if not -rank <= self.axis < rank:
            raise InputError(
                f"axis must be in [{-rank}, {rank}) for inputs of the shape {input_shape}; "
                f"{self.name} has axis={self.axis}"
            )
        channels = input_shape[self.axis]
        if channels is None:
            raise InputError(
                f"the channel dimension must be known; {self.name} was given the shape "
                f"{input_shape} with axis={self.axis}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={self.axis: channels})
        self.build_weights(channels)
        self.moving_mean = self.add_statistic("moving_mean", self.moving_mean_initializer)
        self.moving_variance = self.add_statistic(
            "moving_variance", self.moving_variance_initializer
        )
        self.build_statistics()
        if self.momentum is None or self.momentum_warmup:
            self.updates = self.add_statistic("updates", "zeros")

    def build_weights(self, channels: int) -> None:
        """Make the trainable weights, which come before the statistics."""
        raise NotImplementedError

    def build_statistics(self) -> None:
        """Make the statistics that only this layer has, which come after the common ones."""

    def add_statistic(self, name: str, initializer: Initializer | str) -> keras.Variable:
        """A non-trainable `[C]` that replicas agree on, in float32 or wider whatever the policy."""
        return self.add_weight(
            shape=(self.input_spec.axes[self.axis],),
            name=name,
            dtype=statistics_dtype(tf.as_dtype(self.variable_dtype)).name,
            initializer=initializer,
            trainable=False,
            autocast=False,
            # What `assign_statistic` assigns is the same on every replica.
            aggregation="only_first_replica",
        )

    def call(
        self,
        inputs: tf.Tensor,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        inputs = self._checked(inputs, mask)
        by_batch = self.trainable and is_set(training, self.name)
        for observer in self._observers:
            observer(inputs, mask, by_batch)
        if by_batch:
            outputs = self.normalize_by_batch(wide(inputs, mask), mask)
        else:
            outputs = self.normalize_by_moving_statistics(wide(inputs, None))
        return tf.cast(outputs, inputs.dtype)

    def normalize_by_batch(self, x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """The training call: normalize a `wide` x, and move the moving statistics."""
        raise NotImplementedError

    def normalize_by_moving_statistics(self, x: tf.Tensor) -> tf.Tensor:
        """The call of inference, of a `wide` x."""
        raise NotImplementedError

    @contextmanager
    def observed_by(self, observer: Observer) -> Iterator[None]:
        """Let `observer` see what the layer is given, as long as this lasts.

        It is called at each call of the layer, before anything is computed. Where a `tf.function` is traced
        meanwhile, it sees that function's symbolic tensors, and what it makes of them becomes part of the
        function for good; a function that was traced before does not call it.

        Args:
            observer: a function of the inputs, the mask or None, and whether the layer normalizes them by
                the batch: it was called with `training=True`, or what is as true, and is not frozen.

        Example:

            >>> layer = keras.Sequential([tfnorm.BatchNormalization()]).layers[0]
            >>> with layer.observed_by(lambda x, mask, by_batch: print(x.shape, mask, by_batch)):
            ...     y = layer(tf.ones((4, 3)), training=True)
            (4, 3) None True
        """
        self._observers = (*self._observers, observer)
        try:
            yield
        finally:
            self._observers = tuple(o for o in self._observers if o is not observer)

    def batch_moments(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> Moments:
        """The moments of the batch: this replica's, or the global one's if synchronized."""
        local = channel_moments(inputs, self.axis, mask)
        return merge_replicas(local) if self.synchronized else local

    def update(self, count: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Move the moving statistics towards a batch's."""
        self.move(self.moving_mean, mean, count)
        self.move(self.moving_variance, variance, count)
        self.count_update(count)

    def fed_variance(self, batch: Moments) -> tf.Tensor:
        """The variance that the moving variance is fed."""
        return unbiased(batch.variance, batch.count) if self.unbiased_variance else batch.variance

    def move(self, moving: keras.Variable, value: tf.Tensor, count: tf.Tensor) -> None:
        """Move one statistic towards a batch's `value`, unless the batch has none to give."""
        if self.momentum is None:
            keep = cumulative(tf.convert_to_tensor(self.updates))
        elif self.momentum_warmup:
            keep = warmed_up(self.momentum, tf.convert_to_tensor(self.updates))
        else:
            keep = self.momentum
        self.assign_statistic(
            moving, moving_average(tf.convert_to_tensor(moving), value, keep, count)
        )

    def assign_statistic(self, statistic: keras.Variable, value: tf.Tensor) -> None:
        """Assign a replica's value, or where replicas see other statistics than each other the mean.

        Keras 3.6 knows a variable's `aggregation` but does not act on it.
        """
        agreed = value if self.synchronized else mean_over_replicas(value)
        with one_line_where_replicas_cannot_meet():
            statistic.assign(agreed)

    def count_update(self, count: tf.Tensor) -> None:
        """Count this update, for the channels that had values."""
        if self.momentum is None or self.momentum_warmup:
            updates = tf.convert_to_tensor(self.updates)
            self.assign_statistic(self.updates, updates + tf.cast(count > 0, updates.dtype))

    def load_own_variables(self, store: Any) -> None:
        """Load the weights; statistics that come without a count of updates are warmed up."""
        weights = {name: store[name] for name in store.keys()}  # noqa: SIM118 a store is no dict
        if self.momentum_warmup and len(weights) == len(self.weights) - 1:
            weights[str(len(weights))] = np.full(self.updates.shape, _WARMED_UP)
        super().load_own_variables(weights)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "moving_mean_initializer": keras.initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": keras.initializers.serialize(
                self.moving_variance_initializer
            ),
            "synchronized": self.synchronized,
            "unbiased_variance": self.unbiased_variance,
            "momentum_warmup": self.momentum_warmup,
        }

    def _checked(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """The inputs, of which the channels are known; InputError where they, or the mask, can't be used."""
        if isinstance(inputs, tf.RaggedTensor | tf.SparseTensor):
            raise InputError(
                f"inputs must be a dense tensor; {self.name} was given a {type(inputs).__name__} of the "
                f"shape {tuple(inputs.shape)}; pad it, and give what is no padding as the mask"
            )
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if not tf.as_dtype(dtype).is_floating:
            raise InputError(
                f"inputs must be floating point; {self.name} was given {dtype} inputs of the shape "
                f"{tuple(inputs.shape)}"
            )
        if inputs.shape[self.axis] is None:
            shape = [None] * self.input_spec.ndim
            shape[self.axis] = self.input_spec.axes[self.axis]
            inputs = tf.ensure_shape(inputs, shape)
        if mask is not None:
            check_mask(mask if hasattr(mask, "shape") else np.asarray(mask), inputs)
        return inputs


def is_set(training: Any, layer: str) -> bool:
    """Whether the argument `training` of a call is True, or what is as true: 1, or a constant tensor.

    Raises:
        InputError: a function is traced, and `training` is a tensor that is known only when it runs.
    """
    if not isinstance(training, tf.Tensor):
        return bool(training)
    known = tf.get_static_value(training)
    if known is None:
        raise InputError(
            f"training must be known where {layer} is traced; received {training!r}, which is known only "
            "when the function runs. Give True or False, or trace a function for each"
        )
    return bool(known)


def is_number(value: object) -> bool:
    """Whether it is a real number, and no bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether it is an integer, and no bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _only_axis(axis: int | Sequence[int]) -> int:
    """The axis, which Keras 2 saves as a list of one."""
    match axis:
        case numbers.Integral() | [numbers.Integral()] if not isinstance(axis, bool):
            return int(np.ravel(axis)[0])
    raise InputError(
        f"axis must be an integer, or a list of one; received axis={axis!r}. Reshape several axes "
        "to one"
    )
