"""`keras.layers.TimeDistributed`, in a way that lets its inside be observed."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import keras
import tensorflow as tf


def all_steps_at_once(wrapper: keras.layers.TimeDistributed) -> Callable[..., tf.Tensor]:
    """The wrapper's `call` for inference, with the steps as rows of one batch where T is free.

    Keras maps over a free T by `tf.vectorized_map`, in which nothing can be added up. In inference
    a row's output depends on that row alone, so the outputs are the same.
    """
    call, inner = wrapper.call, wrapper.layer

    def call_rows(
        inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        if inputs.shape[1] is not None:
            return call(inputs, training=training, mask=mask)
        accepted = inspect.signature(inner.call).parameters
        given = {"training": training, "mask": None if mask is None else _rows(mask)}
        outputs = inner.call(
            _rows(inputs), **{name: v for name, v in given.items() if name in accepted}
        )
        steps = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:2], tf.shape(outputs)[1:]], 0))
        steps.set_shape([inputs.shape[0], None, *outputs.shape[1:]])
        return steps

    return call_rows


def _rows(x: tf.Tensor) -> tf.Tensor:
    rows = tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0))
    rows.set_shape([None, *x.shape[2:]])
    return rows
