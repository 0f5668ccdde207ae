"""Batch normalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.layers.moving_statistics import MovingStatistics, Shape, is_number, is_whole
from tfnorm.ops import ghost_batches, renorm
from tfnorm.ops.batch_normalization import affine, normalize_batch, normalize_with
from tfnorm.ops.moments import Moments, channel_moments
from tfnorm.ops.moving_average import moving_average


@keras.saving.register_keras_serializable(package="tfnorm")
class BatchNormalization(MovingStatistics):
    """Normalize each channel, by the batch in training and by moving statistics otherwise.

        training=True:   y = gamma (x - mu_B) / sqrt(var_B + epsilon) + beta
        training=False:  y = gamma (x - mu) / sqrt(var + epsilon) + beta
        moving <- momentum * moving + (1 - momentum) * batch      (training=True alone)

    With `trainable=False` the layer is frozen: it uses the moving statistics whatever `training` says,
    and never updates them. A batch without a value for a channel (empty, or all masked) leaves that
    channel's statistics as they were. Statistics are float32 or wider whatever the layer computes in.

    Args:
        axis: the channel axis, or a list of it alone, as Keras 2 saves it.
        momentum: the share, 0 to 1, that the moving statistics keep at each update. None for the
            cumulative average: after n batches, their mean.
        epsilon: added to the variance, 0 or more.
        center: whether there is a beta.
        scale: whether there is a gamma.
        beta_initializer: what beta starts from, a `keras.initializers.Initializer` or the name of one; by
            default "zeros".
        gamma_initializer: what gamma starts from, a `keras.initializers.Initializer` or the name of one; by
            default "ones".
        moving_mean_initializer: what the moving mean starts from, likewise; by default "zeros".
        moving_variance_initializer: what the moving variance starts from, likewise; by default "ones".
        beta_regularizer: adds a penalty on beta to the loss, a `keras.regularizers.Regularizer` or the
            name of one; None for no penalty.
        gamma_regularizer: adds a penalty on gamma to the loss, a `keras.regularizers.Regularizer` or the
            name of one; None for no penalty.
        beta_constraint: what beta is projected to after each step, a `keras.constraints.Constraint` or
            the name of one; None for no constraint.
        gamma_constraint: what gamma is projected to after each step, a `keras.constraints.Constraint` or
            the name of one; None for no constraint.
        synchronized: under a `tf.distribute` strategy, take the statistics of the global batch, each
            replica weighing by its own count. Otherwise each replica normalizes by its own batch.
        renorm: normalize as the running statistics would, within the clipping: batch
            renormalization. Inference is the same with it or without.
        renorm_clipping: bounds of the correction, a dict with any of `"rmin"`, `"rmax"`, `"dmax"`;
            None for no bounds.
        renorm_momentum: the share, 0 to 1, that the running statistics of renorm keep.
        virtual_batch_size: normalize each ghost batch, of this many consecutive rows, by itself. A
            remainder is one smaller ghost batch. The moving statistics are updated with the mean over the
            ghost batches, weighted by their rows. None for no ghost batches.
        adjustment: a function of the inputs' shape (an int32 tensor) that gives `(scale, bias)`, which are
            applied in training to the normalized ghost batches, before gamma and beta. To be saved with the
            model it must be registered with `keras.saving.register_keras_serializable`. None for no
            adjustment.
        unbiased_variance: update the moving variance with var_B m / (m - 1), where a channel has m values.
        momentum_warmup: let update n, counted from 0, keep the share min(momentum, (1 + n) / (10 + n)).
        **kwargs: further arguments of `keras.layers.Layer`, such as `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: `[..., C, ...]`, floating point, rank 2 or more.
        training: True to normalize by the batch and update the moving statistics.
        mask: bool, of the shape `inputs.shape[:-1]`, or of size 1 along any of its axes. Positions where it
            is False have no part in the statistics. Keras passes on the mask of an Embedding or a Masking.

    Weights, each `[C]`: gamma, beta, moving_mean, moving_variance, as `keras.layers.BatchNormalization`;
    then moving_stddev, renorm_mean and renorm_stddev with `renorm`; then the number of updates with
    `momentum=None` or `momentum_warmup`.

    Raises:
        InputError: an argument is out of range, or doesn't go with another.

    Example:

        >>> layer = BatchNormalization(momentum=0.5)
        >>> layer(tf.constant([[1.0], [3.0]]), training=True).numpy().round(2).tolist()
        [[-1.0], [1.0]]
        >>> layer.moving_mean.numpy().tolist()
        [1.0]

    Reference:
        Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167;
        Ioffe, 2017, https://arxiv.org/abs/1702.03275 (renorm);
        Hoffer, Hubara and Soudry, 2017, https://arxiv.org/abs/1705.08741 (ghost batches).
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        momentum: float | None = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        virtual_batch_size: int | None = None,
        adjustment: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None = None,
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
        self.center = center
        self.scale = scale
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.renorm = renorm
        self.renorm_clipping = renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.virtual_batch_size = virtual_batch_size
        self.adjustment = adjustment
        self._check_renorm()
        self._check_ghost_batches()
        self.gamma = None
        self.beta = None

    def build(self, input_shape: Shape) -> None:
        if self.virtual_batch_size is not None and self.axis in (0, -len(input_shape)):
            raise InputError(
                "virtual_batch_size cuts axis 0 into ghost batches, so axis 0 can't hold the channels; "
                f"received axis={self.axis} with virtual_batch_size={self.virtual_batch_size}"
            )
        super().build(input_shape)

    def build_weights(self, channels: int) -> None:
        if self.scale:
            self.gamma = self.add_weight(
                shape=(channels,),
                name="gamma",
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                shape=(channels,),
                name="beta",
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )

    def build_statistics(self) -> None:
        if self.renorm:
            stddev = lambda shape, dtype=None: tf.sqrt(self.moving_variance.value)  # noqa: E731
            self.moving_stddev = self.add_statistic("moving_stddev", stddev)
            self.renorm_mean = self.add_statistic("renorm_mean", self.moving_mean_initializer)
            self.renorm_stddev = self.add_statistic("renorm_stddev", stddev)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": keras.initializers.serialize(self.beta_initializer),
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "beta_regularizer": keras.regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": keras.constraints.serialize(self.beta_constraint),
            "gamma_constraint": keras.constraints.serialize(self.gamma_constraint),
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
            "virtual_batch_size": self.virtual_batch_size,
            "adjustment": keras.saving.serialize_keras_object(self.adjustment),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BatchNormalization:
        adjustment = keras.saving.deserialize_keras_object(config.get("adjustment"))
        return cls(**{**config, "adjustment": adjustment})

    def normalize_by_batch(self, x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        if self.virtual_batch_size is not None:
            return self._normalize_ghost_batches(x, mask, self.virtual_batch_size)
        if self.renorm:
            return self._renormalize(x, self.batch_moments(x, mask))
        if self.synchronized:
            batch = self.batch_moments(x, mask)
            outputs = self._normalize(x, batch.mean, batch.variance, self.gamma, self.beta)
        else:
            outputs, batch = normalize_batch(
                x, self.gamma, self.beta, epsilon=self.epsilon, axis=self.axis, mask=mask
            )
        self.update(batch.count, batch.mean, self.fed_variance(batch))
        return outputs

    def normalize_by_moving_statistics(self, x: tf.Tensor) -> tf.Tensor:
        return self._normalize(x, self.moving_mean, self.moving_variance, self.gamma, self.beta)

    def _normalize(
        self,
        x: tf.Tensor,
        mean: tf.Tensor,
        variance: tf.Tensor,
        gamma: tf.Tensor | None,
        beta: tf.Tensor | None,
    ) -> tf.Tensor:
        return normalize_with(x, mean, variance, gamma, beta, epsilon=self.epsilon, axis=self.axis)

    def _normalize_ghost_batches(
        self, inputs: tf.Tensor, mask: tf.Tensor | None, size: int
    ) -> tf.Tensor:
        rows, rank = tf.shape(inputs)[0], inputs.shape.rank
        ghosts, counted = ghost_batches.split(inputs, size, mask)
        axis = self.axis % rank + 1
        parts = channel_moments(ghosts, axis, counted, batch_dims=1)
        self.update(*ghost_batches.average(parts.count, parts.mean, self.fed_variance(parts)))
        normalized = normalize_with(
            ghosts, parts.mean, parts.variance, None, None, epsilon=self.epsilon, axis=axis
        )
        normalized = ghost_batches.join(normalized, rows)
        if self.adjustment is not None:
            normalized = affine(normalized, *self.adjustment(tf.shape(inputs)))
        return affine(normalized, self.gamma, self.beta, axis=self.axis)

    def _renormalize(self, inputs: tf.Tensor, batch: Moments) -> tf.Tensor:
        stddev = renorm.stddev(batch.variance, self.epsilon)
        r, d = renorm.correction(
            batch.mean,
            stddev,
            tf.convert_to_tensor(self.renorm_mean),
            tf.convert_to_tensor(self.renorm_stddev),
            epsilon=self.epsilon,
            **(self.renorm_clipping or {}),
        )
        for moving, value in ((self.renorm_mean, batch.mean), (self.renorm_stddev, stddev)):
            self.assign_statistic(
                moving,
                moving_average(
                    tf.convert_to_tensor(moving), value, self.renorm_momentum, batch.count
                ),
            )
        self.move(self.moving_mean, batch.mean, batch.count)
        self.move(self.moving_stddev, stddev, batch.count)
        self.moving_variance.assign(
            renorm.variance(tf.convert_to_tensor(self.moving_stddev), self.epsilon)
        )
        self.count_update(batch.count)
        scale, offset = renorm.compose(r, d, self.gamma, self.beta)
        return self._normalize(inputs, batch.mean, batch.variance, scale, offset)

    def _check_ghost_batches(self) -> None:
        if self.virtual_batch_size is None:
            if self.adjustment is not None:
                raise InputError(
                    "adjustment makes ghost batches differ, so it needs virtual_batch_size; for one "
                    "ghost batch give a virtual_batch_size that no batch exceeds. Received "
                    f"adjustment={self.adjustment!r} without virtual_batch_size"
                )
            return
        if not is_whole(self.virtual_batch_size) or self.virtual_batch_size < 1:
            raise InputError(
                "virtual_batch_size must be 1 or more, an integer; "
                f"received {self.virtual_batch_size!r}"
            )
        if self.synchronized:
            raise InputError(
                "virtual_batch_size normalizes parts of a replica's batch apart, synchronized=True all "
                "replicas' batches together; choose one"
            )

    def _check_renorm(self) -> None:
        if not (is_number(self.renorm_momentum) and 0 <= self.renorm_momentum <= 1):
            raise InputError(
                "renorm_momentum must be in [0, 1]; "
                f"received renorm_momentum={self.renorm_momentum!r}"
            )
        if not self.renorm:
            if self.renorm_clipping is not None:
                raise InputError(
                    f"renorm_clipping needs renorm=True; received {self.renorm_clipping!r}"
                )
            return
        if self.virtual_batch_size is not None:
            raise InputError(
                "renorm pulls the statistics of a batch towards the running ones, virtual_batch_size "
                "makes them differ from ghost batch to ghost batch; choose one"
            )
        if self.unbiased_variance:
            raise InputError(
                "renorm keeps moving standard deviations sqrt(var_B + epsilon), which have no "
                "unbiased form; unbiased_variance must be False"
            )
        clipping = self.renorm_clipping or {}
        if unknown := clipping.keys() - {"rmin", "rmax", "dmax"}:
            raise InputError(
                f"renorm_clipping takes 'rmin', 'rmax' and 'dmax'; received {sorted(unknown)}"
            )
        if clipping.get("rmin", 0) > clipping.get("rmax", float("inf")):
            raise InputError(f"renorm_clipping has rmin above rmax: {clipping}")
        if clipping.get("dmax", 0) < 0:
            raise InputError(f"renorm_clipping must have dmax of 0 or more: {clipping}")
