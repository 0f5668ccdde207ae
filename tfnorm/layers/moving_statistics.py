"""What BatchNormalization and Dice share: a moving mean and a moving variance for each channel."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfnorm.ops.moments import Moments, channel_moments, statistics_dtype
from tfnorm.ops.moving_average import cumulative, moving_average, unbiased, warmed_up
from tfnorm.ops.replicas import mean_over_replicas, merge_replicas


class MovingStatistics(keras.layers.Layer):
    """A layer that keeps moving statistics of its inputs.

        moving <- momentum * moving + (1 - momentum) * batch

    under `training=True` alone, and never when `trainable` is False. Under a `tf.distribute` strategy
    the statistics are the mean over the replicas.
    """

    def __init__(
        self,
        *,
        axis: int,
        momentum: float | None,
        epsilon: float,
        moving_mean_initializer,
        moving_variance_initializer,
        synchronized: bool,
        unbiased_variance: bool,
        momentum_warmup: bool,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(
                "momentum must be in [0, 1], or None for the cumulative average; "
                f"received momentum={momentum!r}"
            )
        if momentum is None and momentum_warmup:
            raise ValueError(
                "momentum_warmup needs a momentum to warm up to; received momentum=None, whose "
                "cumulative average has no warm-up"
            )
        if not epsilon >= 0:
            raise ValueError(f"epsilon must be 0 or more; received epsilon={epsilon!r}")
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.moving_mean_initializer = keras.initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = keras.initializers.get(moving_variance_initializer)
        self.synchronized = synchronized
        self.unbiased_variance = unbiased_variance
        self.momentum_warmup = momentum_warmup
        self.supports_masking = True

    def build(self, input_shape) -> None:
        rank = len(input_shape)
        if rank < 2:
            raise ValueError(
                f"inputs must have rank 2 or more; {self.name} was given the shape {input_shape}"
            )
        if not -rank <= self.axis < rank:
            raise ValueError(
                f"axis must be in [{-rank}, {rank}) for inputs of the shape {input_shape}; "
                f"{self.name} has axis={self.axis}"
            )
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
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

    def add_statistic(self, name: str, initializer) -> keras.Variable:
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
        statistic.assign(value if self.synchronized else mean_over_replicas(value))

    def count_update(self, count: tf.Tensor) -> None:
        """Count this update, for the channels that had values."""
        if self.momentum is None or self.momentum_warmup:
            updates = tf.convert_to_tensor(self.updates)
            self.assign_statistic(self.updates, updates + tf.cast(count > 0, updates.dtype))

    def check_inputs(self, inputs: tf.Tensor) -> None:
        """Raise ValueError unless `inputs` are floating point."""
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if not tf.as_dtype(dtype).is_floating:
            raise ValueError(
                f"inputs must be floating point; {self.name} was given {dtype} inputs of the shape "
                f"{tuple(inputs.shape)}"
            )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
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
