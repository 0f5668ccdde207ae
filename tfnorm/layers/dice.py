"""The Dice activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.layers.moving_statistics import MovingStatistics
from tfnorm.ops.dice import dice_batch, dice_with


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
        axis: the channel axis, or a list of it alone, as Keras 2 saves it.
        momentum: the share, 0 to 1, that the moving statistics keep at each update. None for the
            cumulative average: after n batches, their mean.
        epsilon: added to the variance, 0 or more.
        alpha_initializer: what alpha starts from, a `keras.initializers.Initializer` or the name of one; by
            default "zeros".
        alpha_regularizer: adds a penalty on alpha to the loss, a `keras.regularizers.Regularizer` or the
            name of one; None for no penalty.
        alpha_constraint: what alpha is projected to after each step, a `keras.constraints.Constraint` or
            the name of one; None for no constraint.
        moving_mean_initializer: what the moving mean starts from, likewise; by default "zeros".
        moving_variance_initializer: what the moving variance starts from, likewise; by default "ones".
        synchronized: under a `tf.distribute` strategy, take the statistics of the global batch, each
            replica weighing by its own count. Otherwise each replica normalizes by its own batch.
        unbiased_variance: update the moving variance with var_B m / (m - 1), where a channel has m values.
        momentum_warmup: let update n, counted from 0, keep the share min(momentum, (1 + n) / (10 + n)).
        **kwargs: further arguments of `keras.layers.Layer`, such as `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: `[..., C, ...]`, floating point, rank 2 or more.
        training: True to normalize by the batch and update the moving statistics.
        mask: bool, of the shape `inputs.shape[:-1]`, or of size 1 along any of its axes. Positions where it
            is False have no part in the statistics. Keras passes on the mask of an Embedding or a Masking.

    Weights, each `[C]`: alpha, moving_mean, moving_variance; then the number of updates with
    `momentum=None` or `momentum_warmup`.

    Raises:
        InputError: an argument is out of range, or doesn't go with another.

    Example:

        >>> layer = Dice()
        >>> layer(tf.constant([[-2.0], [0.0], [2.0]])).numpy().round(3).ravel()
        array([-0.238,  0.   ,  1.762], dtype=float32)

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978, section 5.3.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        momentum: float | None = 0.99,
        epsilon: float = 1e-9,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        synchronized: bool = False,
        unbiased_variance: bool = False,
        momentum_warmup: bool = False,
        **kwargs: Any,
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
        """Take over alpha, the only weight of a Dice without moving statistics, such as the DIEN authors'.

        The moving statistics stay as they are: compute them with
        `tfnorm.statistics.recalibrate_statistics` before the model serves.

        Args:
            alpha: `[C]`.

        Raises:
            InputError: the layer is not built, or `alpha` has another shape.

        Example:

            >>> layer = Dice()
            >>> layer.build((None, 2))
            >>> layer.load_alpha([0.1, 0.2])
            >>> layer.alpha.numpy()
            array([0.1, 0.2], dtype=float32)
        """
        if not self.built:
            raise InputError(
                f"{self.name} has no weights yet: call it or build it before load_alpha"
            )
        alpha = np.asarray(alpha)
        if alpha.shape != tuple(self.alpha.shape):
            raise InputError(
                f"alpha must have the shape {tuple(self.alpha.shape)}; received {alpha.shape}"
            )
        self.alpha.assign(alpha)

    def normalize_by_batch(self, x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        if self.synchronized:
            batch = self.batch_moments(x, mask)
            outputs = self._activate(x, batch.mean, batch.variance)
        else:
            outputs, batch = dice_batch(
                x, self.alpha, epsilon=self.epsilon, axis=self.axis, mask=mask
            )
        self.update(batch.count, batch.mean, self.fed_variance(batch))
        return outputs

    def normalize_by_moving_statistics(self, x: tf.Tensor) -> tf.Tensor:
        return self._activate(x, self.moving_mean, self.moving_variance)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": keras.initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": keras.regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": keras.constraints.serialize(self.alpha_constraint),
        }

    def _activate(self, x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        return dice_with(x, mean, variance, self.alpha, epsilon=self.epsilon, axis=self.axis)
