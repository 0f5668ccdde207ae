"""An embedding that never answers for an id that it does not have."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfnorm._keras import is_variable


@keras.saving.register_keras_serializable(package="tfnorm")
class IdEmbedding(keras.layers.Embedding):
    """`keras.layers.Embedding` that lets no id outside its table pass for another one.

        y[...] = embeddings[ids[...]]    where 0 <= id < input_dim,    NaN elsewhere

    Keras's layer takes id -1 for the last row, and under XLA, with which `fit` compiles, every id
    past the end too. Here such an id raises InvalidArgumentError where TensorFlow checks indices
    (on CPU without XLA, as TensorFlow Serving runs it), and gives NaN elsewhere.

    Args:
        input_dim: rows of the table, the padding id 0 included.
        output_dim: width of a row.
        **kwargs: further arguments of `keras.layers.Embedding`, such as `embeddings_initializer`.

    Raises:
        InvalidArgumentError: an id is outside the table, when the layer runs on a CPU without XLA.

    Example:

        >>> IdEmbedding(10, 4)(tf.constant([[1, 9]])).shape.as_list()
        [1, 2, 4]
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        table = self.embeddings
        # Of a variable the rows are read, and its gradient is that of the rows.
        rows = tf.gather(table.value if is_variable(table) else table, inputs)
        rows = tf.cast(rows, self.compute_dtype)
        known = (inputs >= 0) & (inputs < self.input_dim)
        # Added, as to choose between rows and NaN costs a tenth of a training step.
        nothing = tf.where(known, tf.zeros((), rows.dtype), tf.constant(float("nan"), rows.dtype))
        return rows + nothing[..., tf.newaxis]
