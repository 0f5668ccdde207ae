"""The Dice activation."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfnorm import ops
from tfnorm.layers.moving_statistics import MovingStatistics
from tfnorm.ops.dice import dice_batch
from tfnorm.ops.moments import widened


@keras.saving.register_keras_serializable(package="tfnorm")
class Dice(MovingStatistics):
    """PReLU whose rectified point follows the data, by moving statistics when it serves.

        training=True:   p = sigmoid((x - mu_B) / sqrt(var_B + epsilon))
        training=False:  p = sigmoid((x - mu) / sqrt(var + epsilon))
        y = p x + (1 - p) alpha x
        moving <- momentum * moving + (1 - momentum) * batch      (training=True alone)

    The DIEN authors' code has no moving statistics: it normalizes with the batch's at serving time
    too, so that a score depends on the batch in which it is computed.

    With `trainable=False` the layer is frozen: it uses the moving statistics whatever `training` says,
    and never updates them. A batch without a value for a channel (empty, or all masked) leaves that
    channel's statistics as they were. Statistics are float32 or wider whatever the layer computes in.

    Args:
        axis: the channel axis.
        momentum: the share, 0 to 1, that the moving statistics keep at each update. None for the
            cumulative average: after n batches, their mean.
        epsilon: added to the variance, 0 or more.
        alpha_initializer: of alpha.
        alpha_regularizer: of alpha.
        alpha_constraint: of alpha.
        moving_mean_initializer: of the moving mean.
        moving_variance_initializer: of the moving variance.
        synchronized: under a `tf.distribute` strategy, take the statistics of the global batch, each
            replica weighing by its own count. Otherwise each replica normalizes by its own batch.
        unbiased_variance: feed the moving variance var_B m / (m - 1), with m values a channel.
        momentum_warmup: let update n, from 0, keep min(momentum, (1 + n) / (10 + n)).
        **kwargs: of `keras.layers.Layer`, such as `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: `[..., C, ...]`, floating point, rank 2 or more.
        training: True to normalize by the batch and update the moving statistics.
        mask: bool, of the shape `inputs.shape[:-1]` or broadcastable to it. Positions where it is
            False have no part in the statistics. Keras passes on an Embedding's or a Masking's.

    Weights, each `[C]`: alpha, moving_mean, moving_variance; then the number of updates with
    `momentum=None` or `momentum_warmup`.

    Raises:
        ValueError: an argument is out of range, or doesn't go with another.

    Example:

        >>> layer = Dice()
        >>> layer(tf.constant([[-2.0], [0.0], [2.0]])).numpy().round(3).ravel()
        array([-0.238,  0.   ,  1.762], dtype=float32)

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978, section 5.3.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float | None = 0.99,
        epsilon: float = 1e-9,
        alpha_initializer="zeros",
        alpha_regularizer=None,
        alpha_constraint=None,
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        synchronized: bool = False,
        unbiased_variance: bool = False,
        momentum_warmup: bool = False,
        **kwargs,
    ):
        super().__init__(
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer,
            synchronized=synchronized,
            unbiased_variance=unbiased_variance,
            momentum_warmup=momentum_warmup,
            **kwargs,
        )
        self.alpha_initializer = keras.initializers.get(alpha_initializer)
        self.alpha_regularizer = keras.regularizers.get(alpha_regularizer)
        self.alpha_constraint = keras.constraints.get(alpha_constraint)

    def build_weights(self, channels: int) -> None:
        self.alpha = self.add_weight(
            shape=(channels,),
            name="alpha",
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            autocast=False,
        )

    def load_alpha(self, alpha: np.ndarray) -> None:
        """Take over the only weight of a Dice without moving statistics, as the DIEN authors' is.

        The moving statistics stay as they are: compute them with
        `tfnorm.statistics.recalibrate_statistics` before the model serves.

        Args:
            alpha: `[C]`.

        Raises:
            ValueError: the layer is not built, or `alpha` has another shape.

        Example:

            >>> layer = Dice()
            >>> layer.build((None, 2))
            >>> layer.load_alpha([0.1, 0.2])
            >>> layer.alpha.numpy()
            array([0.1, 0.2], dtype=float32)
        """
        if not self.built:
            raise ValueError(
                f"{self.name} has no weights yet: call it or build it before load_alpha"
            )
        alpha = np.asarray(alpha)
        if alpha.shape != tuple(self.alpha.shape):
            raise ValueError(
                f"alpha must have the shape {tuple(self.alpha.shape)}; received {alpha.shape}"
            )
        self.alpha.assign(alpha)

    def call(
        self,
        inputs: tf.Tensor,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        self.check_inputs(inputs)
        if not (training and self.trainable):
            return self._activate(inputs, self.moving_mean, self.moving_variance)
        wide = widened(inputs, mask)
        if self.synchronized:
            batch = self.batch_moments(wide, mask)
            outputs = self._activate(wide, batch.mean, batch.variance)
        else:
            outputs, batch = dice_batch(
                wide, self.alpha, epsilon=self.epsilon, axis=self.axis, mask=mask
            )
        self.update(batch.count, batch.mean, self.fed_variance(batch))
        return tf.cast(outputs, inputs.dtype)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "alpha_initializer": keras.initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": keras.regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": keras.constraints.serialize(self.alpha_constraint),
        }

    def _activate(self, x, mean, variance) -> tf.Tensor:
        return ops.dice(x, mean, variance, self.alpha, epsilon=self.epsilon, axis=self.axis)
