"""Adam that touches no row of a table that the batch does not have."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfnorm._keras import adam_moments
from tfnorm.errors import InputError


@keras.saving.register_keras_serializable(package="tfnorm")
class LazyAdam(keras.optimizers.Adam):
    """Adam whose step costs as much as the rows of the batch, however large the table.

        g_r = sum of the gradients of row r in the batch + 2 embeddings_l2 w_r
        m_r <- beta_1 m_r + (1 - beta_1) g_r,    v_r <- beta_2 v_r + (1 - beta_2) g_r^2
        w_r <- w_r - learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m_r / (sqrt(v_r) + epsilon)

    for the rows r that the batch has, where t is the step; the other rows keep w, m and v as they are. This
    holds for variables whose gradient is a `tf.IndexedSlices`, as that of an embedding is; every other
    variable is updated as `keras.optimizers.Adam` does.

    A row that every batch has is updated as a dense Adam would update it. A row that a batch leaves out is
    not: a dense Adam would go on to move it by its momentum, and let m and v fade. `keras.optimizers.Adam`
    of Keras 3.15 does neither: it updates the whole table, and where a batch has an id several times, it
    squares the gradients before it sums them, so v is not that of their sum.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        beta_1: the share that the mean of the gradients keeps in each step.
        beta_2: the share that the mean of their squares keeps in each step.
        epsilon: added to the root of the mean of the squares.
        embeddings_l2: the factor of the L2 penalty on the rows of tables that the batch has. It is DIN's
            mini-batch-aware regularization without the division by how often an id is in the log. It is not
            part of the loss that `fit` shows.
        **kwargs: further arguments of `keras.optimizers.Adam`. A weight decay, an average of the weights,
            accumulated gradients and a clipping by the norm of all gradients still work on whole tables.

    Raises:
        InputError: `amsgrad` is asked for, or `embeddings_l2` is below 0.

    Example:

        >>> table = keras.Variable(tf.zeros([3, 1]))
        >>> optimizer = LazyAdam(0.1)
        >>> gradients = tf.IndexedSlices(tf.constant([[1.0], [2.0], [-4.0]]), tf.constant([1, 1, 1]))
        >>> optimizer.apply([gradients], [table])
        >>> table.numpy().round(3).ravel().tolist() == [0, np.float32(0.1), 0]
        True

    Reference:
        Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980; Zhou et al., 2018,
        https://arxiv.org/abs/1706.06978, section 5.1.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *,
        embeddings_l2: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("amsgrad"):
            raise InputError("amsgrad is True; accepted: False, LazyAdam has no AMSGrad")
        if not embeddings_l2 >= 0:
            raise InputError(f"embeddings_l2 is {embeddings_l2}; it must be 0 or more")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.embeddings_l2 = embeddings_l2

    def update_step(
        self,
        gradient: tf.Tensor | tf.IndexedSlices,
        variable: tf.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
        momentum, velocity = adam_moments(self, variable)
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        learning_rate = tf.cast(learning_rate, dtype)
        powers = [tf.cast(beta, dtype) ** step for beta in (self.beta_1, self.beta_2)]
        if not isinstance(gradient, tf.IndexedSlices):
            # One op does what a dozen do in Keras's, of which a model with small tables feels the calls.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=momentum.value.handle,
                v=velocity.value.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=learning_rate,
                beta1=tf.cast(self.beta_1, dtype),
                beta2=tf.cast(self.beta_2, dtype),
                epsilon=tf.cast(self.epsilon, dtype),
                grad=tf.cast(gradient, dtype),
            )
            return
        rows, place = tf.unique(gradient.indices)
        g = tf.math.unsorted_segment_sum(tf.cast(gradient.values, dtype), place, tf.size(rows))
        if self.embeddings_l2:
            g += 2 * self.embeddings_l2 * tf.gather(variable, rows)
        m = self.beta_1 * tf.gather(momentum.value, rows) + (1 - self.beta_1) * g
        v = self.beta_2 * tf.gather(velocity.value, rows) + (1 - self.beta_2) * tf.square(g)
        self.assign(momentum, tf.IndexedSlices(m, rows))
        self.assign(velocity, tf.IndexedSlices(v, rows))

        rate = learning_rate * tf.sqrt(1 - powers[1]) / (1 - powers[0])
        self.assign_sub(variable, tf.IndexedSlices(rate * m / (tf.sqrt(v) + self.epsilon), rows))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "embeddings_l2": self.embeddings_l2}
