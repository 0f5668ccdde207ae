"""What teaches DIEN's interests: the next behaviour."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

Shape = Sequence[int | None]

# What a step has learned between the call of a layer and its loss; replicas are threads.
_step = threading.local()


def auxiliary_loss(
    interests: tf.Tensor, behaviours: tf.Tensor, negatives: tf.Tensor, valid: tf.Tensor
) -> tf.Tensor:
    """The log loss of telling the next behaviour from one that never was.

        -mean of log sigmoid(h_t b_{t+1}) + log(1 - sigmoid(h_t n_{t+1}))

    over the t for which t + 1 is no padding, so that more padding changes nothing; 0 if there are
    none.

    Args:
        interests: h, `[N, T, D]`.
        behaviours: b, `[N, T, D]`, the history embedded.
        negatives: n, `[N, T, D]`, in the place of each behaviour another that wasn't.
        valid: bool `[N, T]`, False for padding.

    Returns:
        A number.

    Example:

        >>> x = tf.zeros([1, 3, 2])
        >>> round(float(auxiliary_loss(x, x, x, tf.constant([[True, True, False]]))), 4)
        1.3863

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1809.03672, section 4.2.
    """
    losses, counts = auxiliary_losses(interests, behaviours, negatives, valid)
    return tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(counts), 1)


def auxiliary_losses(
    interests: tf.Tensor, behaviours: tf.Tensor, negatives: tf.Tensor, valid: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Of each example the sum of `auxiliary_loss` over its steps, and their number, `[N]`."""
    now = interests[:, :-1]
    positive = tf.reduce_sum(now * behaviours[:, 1:], axis=-1)
    negative = tf.reduce_sum(now * negatives[:, 1:], axis=-1)
    losses = tf.cast(tf.nn.softplus(-positive) + tf.nn.softplus(negative), tf.float32)
    counted = tf.cast(valid[:, 1:], tf.float32)
    return tf.reduce_sum(losses * counted, axis=1), tf.reduce_sum(counted, axis=1)


@keras.saving.register_keras_serializable(package="tfnorm")
class AuxiliaryLoss(keras.layers.Layer):
    """Interests as they are; in training it keeps what `auxiliary_loss` needs of them.

    Called with `interests` and `behaviours` `[N, T, D]` and `valid` `[N, T]`; returns `interests`.

    Example:

        >>> layer, x, valid = AuxiliaryLoss(), tf.zeros([1, 3, 2]), tf.constant([[True, True, False]])
        >>> _ = layer(x, x, valid, training=True)
        >>> losses, steps = layer.losses_of(negatives=x)
        >>> losses.numpy().round(4).tolist() == [np.float32(1.3863)], steps.numpy().tolist()
        (True, [1.0])
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(
        self,
        interests: tf.Tensor,
        behaviours: tf.Tensor,
        valid: tf.Tensor,
        training: bool | None = None,
    ) -> tf.Tensor:
        if training:
            _kept()[id(self)] = (interests, behaviours, valid)
        return interests

    def compute_mask(self, *arguments: object) -> None:
        """None: what follows is given the mask as an input."""

    def losses_of(self, negatives: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the last call in training, each example's sum over its steps, and their number."""
        interests, behaviours, valid = _kept().pop(id(self))
        more = tf.shape(valid)[1] - tf.shape(negatives)[1]
        negatives = tf.pad(negatives, [[0, 0], [0, more], [0, 0]])
        return auxiliary_losses(interests, behaviours, negatives, valid)

    def compute_output_shape(
        self, interests_shape: Shape, behaviours_shape: Shape, valid_shape: Shape
    ) -> Shape:
        return interests_shape


def _kept() -> dict[int, tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    kept: dict[int, tuple[tf.Tensor, tf.Tensor, tf.Tensor]] = _step.__dict__.setdefault("kept", {})
    return kept
