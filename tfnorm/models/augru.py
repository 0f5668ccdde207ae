"""The recurrent cell of DIEN's interest evolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfnorm")
class AUGRUCell(keras.layers.Layer):
    """A GRU's step whose update gate is scaled by an attention score, for `keras.layers.RNN`.

        u_t = a_t sigmoid(W_u x_t + U_u h_{t-1} + b_u)
        r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)
        c_t = tanh(W_c x_t + r_t (U_c h_{t-1}) + b_c)
        h_t = (1 - u_t) h_{t-1} + u_t c_t

    Where a score is 0 the state stays as it is; with all of them 1 it is a GRU.

    Args:
        units: U, the width of the state.
        **kwargs: further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, D + 1]`, x_t and after it a_t, from 0 to 1.
        states: the state h_{t-1} `[N, U]`, alone in a list.

    Returns h_t, as the output and as the new state. Weights: kernel `[D, 3 U]`, recurrent_kernel
    `[U, 3 U]` and bias `[3 U]`, each for u, r and c in that order.

    Example:

        >>> evolution = keras.layers.RNN(AUGRUCell(4))
        >>> x, a = tf.ones([2, 5, 3]), tf.zeros([2, 5, 1])
        >>> evolution(tf.concat([x, a], axis=-1)).numpy().tolist()
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1809.03672, section 4.3.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units
        self.output_size = units

    def build(self, input_shape: Sequence[int]) -> None:
        width = 3 * self.units
        self.kernel = self.add_weight(shape=(input_shape[-1] - 1, width), name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), name="recurrent_kernel", initializer="orthogonal"
        )
        self.bias = self.add_weight(shape=(width,), name="bias", initializer="zeros")

    def call(
        self, inputs: tf.Tensor, states: list[tf.Tensor], training: bool | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        (state,) = states
        x, score = inputs[:, :-1], inputs[:, -1:]
        state = self._next(tf.matmul(x, self.kernel) + self.bias, score, state)
        return state, [state]

    def of_candidates(self, x: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """The last state of each of several sequences that have their inputs in common.

        What does not depend on the scores, W x_t + b, is computed once.

        Args:
            x: `[G, T, D]`, the inputs of G groups of sequences.
            scores: `[G, N, T]`, of N sequences each; 0 where there is padding.

        Returns:
            h_T, `[G, N, U]`.
        """
        groups, each, steps = tf.unstack(tf.shape(scores))
        rows = groups * each
        of_x = tf.tensordot(x, tf.cast(self.kernel, x.dtype), axes=1)
        of_x = tf.transpose(of_x + tf.cast(self.bias, x.dtype), [1, 0, 2])
        by_step = tf.transpose(scores, [2, 0, 1])

        def turn(step: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            shared = tf.repeat(of_x[step], each, axis=0)
            shared.set_shape([None, 3 * self.units])
            score = tf.reshape(by_step[step], [rows, 1])
            return step + 1, self._next(shared, score, state)

        start = tf.zeros([rows, self.units], x.dtype)
        _, state = tf.while_loop(
            lambda step, state: step < steps,
            turn,
            (0, start),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, self.units])),
        )
        return tf.reshape(state, [groups, each, self.units])

    def _next(self, of_x: tf.Tensor, score: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """The next state, of W x_t + b."""
        of_state = tf.matmul(state, tf.cast(self.recurrent_kernel, state.dtype))
        of_x, of_state = tf.split(of_x, 3, axis=-1), tf.split(of_state, 3, axis=-1)
        update = score * tf.sigmoid(of_x[0] + of_state[0])
        reset = tf.sigmoid(of_x[1] + of_state[1])
        candidate = tf.tanh(of_x[2] + reset * of_state[2])
        return (1 - update) * state + update * candidate

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
