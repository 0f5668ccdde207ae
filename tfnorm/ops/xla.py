"""What XLA has to be told where it compiles."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfnorm._tensorflow import custom_gradient, followed_in_forward_mode, in_xla_context


def computed_once(v: tf.Tensor) -> tf.Tensor:
    """`v`, of `[C]`: XLA does not compute it anew for each element of the `[A, C]` that it is used for."""
    if not in_xla_context() or followed_in_forward_mode(v):
        return v

    # It fuses a reduction with what comes before, never with what follows. This one adds a row of zeros.
    # Its gradient would be a slice, whose own XLA can't differentiate twice.
    def through_a_reduction(v: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        rows = tf.pad(v[tf.newaxis], [[0, 1], *[[0, 0]] * v.shape.rank])
        return tf.reduce_sum(rows, 0), lambda dv: dv

    return custom_gradient(through_a_reduction)(v)
