"""What a layer is given, added up."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfnorm.ops.moments import along_axis, broadcast_mask
from tfnorm.statistics.observation.population import Population, about


class Sums:
    """Sums of a layer's inputs, of their deviations from a pivot and of the squares of those.

    Sums can be added to in any order, from inside a loop or a branch too. With a pivot near the mean they
    keep as many digits as merged moments do. Those of each example of a batch are kept until the batch
    ends: the values of one example are alike, so that it is examples that tell how far a mean decides.
    """

    def __init__(self, layer: keras.layers.Layer):
        self._axis = layer.axis
        self._channels = layer.moving_mean.shape[0]
        self._pivot = self._variable(self._channels)
        self.variable = self._variable(5, self._channels)
        self._squares = self._variable(4, self._channels)
        self._batch = tf.Variable(
            tf.zeros([1, 2, self._channels], tf.float64),
            trainable=False,
            shape=[None, 2, self._channels],
        )

    @staticmethod
    def _variable(*shape: int) -> tf.Variable:
        return tf.Variable(tf.zeros(shape, tf.float64), trainable=False)

    def reset(self, pivot: np.ndarray | float = 0.0) -> None:
        """Start afresh, with deviations from `pivot`."""
        self._pivot.assign(tf.broadcast_to(tf.cast(pivot, tf.float64), self._pivot.shape))
        for variable in (self.variable, self._squares):
            variable.assign(tf.zeros_like(variable))

    def begin(self, examples: tf.Tensor) -> None:
        """A batch of so many examples comes."""
        self._batch.assign(tf.zeros([tf.maximum(examples, 1), 2, self._channels], tf.float64))

    def add(self, inputs: tf.Tensor, mask: tf.Tensor | None, by_batch: bool) -> None:
        """Add what the layer is given in a call, and whether it normalizes that by the batch."""
        of_rows = self._of_rows(tf.cast(inputs, tf.float64), mask)
        count, total, squares = tf.unstack(tf.reduce_sum(of_rows, 0))
        called = tf.cast(count > 0, tf.float64)
        self.variable.assign_add(
            tf.stack([count, total, squares, called, called if by_batch else 0.0 * called])
        )
        # A call that has several rows an example, as where a layer is shared by steps, or that has not all
        # examples, has them in their order.
        rows, examples = tf.shape(of_rows)[0], tf.shape(self._batch)[0]
        owners = tf.range(rows) * examples // tf.maximum(rows, 1)
        self._batch.assign_add(tf.math.unsorted_segment_sum(of_rows[:, :2], owners, examples))

    def end(self) -> None:
        """The batch has been."""
        count, total = tf.unstack(tf.convert_to_tensor(self._batch), axis=1)
        parts = (total * total, total * count, count * count, tf.cast(count > 0, tf.float64))
        self._squares.assign_add(tf.stack([tf.reduce_sum(part, 0) for part in parts]))

    def population(self) -> Population:
        """What came since the last reset."""
        count, total, squares, updates, _ = self.variable.numpy()
        shift = total / np.maximum(count, 1)
        deviations = np.maximum(squares - total * shift, 0)
        apart = about(self._squares.numpy(), shift)
        return Population(count, self._pivot.numpy() + shift, deviations, updates, apart)

    @property
    def by_batch(self) -> bool:
        """Whether any of it was normalized by the batch."""
        return bool(self.variable.numpy()[4].any())

    def _of_rows(self, x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """`[rows, 3, C]`: how many values each row has, the sum of their deviations and of the squares."""
        axis = self._axis % x.shape.rank
        outer, *inner = (other for other in range(x.shape.rank) if other != axis)

        def summed(values: tf.Tensor) -> tf.Tensor:
            total = tf.reduce_sum(values, inner) if inner else values
            return total if outer < axis else tf.transpose(total)

        deviations = x - along_axis(x, axis)(self._pivot.value())
        counted = tf.ones_like(x)
        if mask is not None:
            counted = tf.cast(tf.broadcast_to(broadcast_mask(mask, x), tf.shape(x)), x.dtype)
            deviations = tf.where(counted > 0, deviations, 0.0)
        return tf.stack([summed(counted), summed(deviations), summed(deviations * deviations)], 1)
