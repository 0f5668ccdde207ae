"""Which user each candidate is scored for."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True, eq=False)
class Rows:
    """Some users, and candidates of each.

    Attributes:
        users: how many users there are rows of.
        owners: `[rows]`, the user of each candidate.
    """

    users: tf.Tensor
    owners: tf.Tensor

    def spread(self, tensor: tf.Tensor) -> tf.Tensor:
        """What there is of each user, for each candidate.

        A user may have several rows, such as the steps of a history that were made rows.
        """
        shape = tf.shape(tensor)
        each = shape[0] // tf.maximum(self.users, 1)
        of_users = tf.reshape(tensor, tf.concat([[self.users, each], shape[1:]], axis=0))
        rows = tf.size(self.owners) * each
        spread = tf.reshape(
            tf.gather(of_users, self.owners), tf.concat([[rows], shape[1:]], axis=0)
        )
        spread.set_shape([None, *tensor.shape[1:]])
        return spread

    def by_user(self, tensor: tf.Tensor) -> tf.Tensor:
        """`[rows, ...]` of candidates as `[users, candidates, ...]`, as many of each user."""
        rows = tf.size(self.owners)
        each = rows // tf.maximum(self.users, 1)
        by_user = tf.reshape(tensor, tf.concat([[self.users, each], tf.shape(tensor)[1:]], axis=0))
        by_user.set_shape([None, None, *tensor.shape[1:]])
        return by_user

    def in_rows(self, tensor: tf.Tensor) -> tf.Tensor:
        """`[users, candidates, ...]` as `[rows, ...]`."""
        shape = tf.concat([[tf.size(self.owners)], tf.shape(tensor)[2:]], axis=0)
        rows = tf.reshape(tensor, shape)
        rows.set_shape([None, *tensor.shape[2:]])
        return rows
