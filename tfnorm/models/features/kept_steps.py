"""Histories that are no longer than the schema says, when they are served too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfnorm")
class KeptSteps(keras.layers.Layer):
    """The newest steps of each history, or the oldest, as a log of the schema gives them.

        y_t = x_{t + max(0, n - length)}     for t < length, n being where the first column ends

    Called with the columns of a history, `[N, T]` each, padded at the end: the first, whose last value
    that is no padding (0, or the empty string) ends the history, and what goes with it. Returns all of
    them, `[N, min(T, length)]`, oldest first as they come; a step of padding where T is known to be 0.

    Args:
        length: the most steps that are kept.
        keep: which are kept of more, `newest` or `oldest`: then y_t = x_t.
        **kwargs: further arguments of `keras.layers.Layer`.

    Example:

        >>> items, seconds = tf.constant([[1, 2, 3], [4, 0, 0]]), tf.constant([[1., 2., 3.], [4., 0., 0.]])
        >>> [x.numpy().tolist() for x in KeptSteps(2)([items, seconds])]
        [[[2, 3], [4, 0]], [[2.0, 3.0], [4.0, 0.0]]]
    """

    def __init__(self, length: int, keep: str = "newest", **kwargs: Any) -> None:
        # Numbers are scaled in full precision, after this.
        super().__init__(autocast=False, **kwargs)
        self.length = length
        self.keep = keep

    def call(self, columns: list[tf.Tensor]) -> list[tf.Tensor]:
        if columns[0].shape[1] == 0:
            # Of one row, Keras's Add would take steps of the shape [1, 0, D] for a bias.
            return [tf.zeros([tf.shape(x)[0], 1], x.dtype) for x in columns]
        if all(x.shape[1] is not None and x.shape[1] <= self.length for x in columns):
            return columns
        if self.keep == "oldest":
            return [x[:, : self.length] for x in columns]
        first = columns[0]
        valid = tf.not_equal(first, tf.zeros((), first.dtype))
        ends = tf.where(valid, 1 + tf.range(tf.shape(first)[1]), 0)
        # Of no steps at all the greatest end is the least integer.
        starts = tf.maximum(tf.reduce_max(ends, axis=1), self.length) - self.length
        return [
            tf.gather(
                x,
                starts[:, tf.newaxis] + tf.range(tf.minimum(tf.shape(x)[1], self.length)),
                batch_dims=1,
            )
            for x in columns
        ]

    def compute_output_spec(self, columns: Sequence[keras.KerasTensor]) -> list[keras.KerasTensor]:
        def kept(steps: int | None) -> int | None:
            return None if steps is None else min(max(1, steps), self.length)

        return [keras.KerasTensor((x.shape[0], kept(x.shape[1])), x.dtype) for x in columns]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length, "keep": self.keep}
