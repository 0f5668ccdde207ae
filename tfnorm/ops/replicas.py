"""Moments of the global batch, from those of each replica."""

from __future__ import annotations

import tensorflow as tf

from tfnorm.ops.moments import Moments, merge


def mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The mean of each replica's `value`; outside a strategy of several replicas `value` itself."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)


def merge_replicas(local: Moments) -> Moments:
    """The moments of all replicas' values together, by one collective.

    Each replica puts (count, mean, squares) into a slot of its own; the sum over the replicas is the
    list of all slots. Every replica weighs by its own count, so a short or an empty shard is right.
    Outside a strategy of several replicas `local` comes back.

    Args:
        local: this replica's moments, each `[C]`.

    Returns:
        The merged moments, differentiable through the collective.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return local
    mine = tf.one_hot(
        context.replica_id_in_sync_group, context.num_replicas_in_sync, dtype=local.mean.dtype
    )
    slots = mine[:, tf.newaxis, tf.newaxis] * tf.stack(local)
    return merge(
        Moments(*tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, slots), axis=1))
    )
