"""Moments of the global batch, from those of each replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.ops.moments import Moments, merge


def has_several_replicas() -> bool:
    """Whether the strategy in scope has more than one replica."""
    return bool(tf.distribute.get_strategy().num_replicas_in_sync > 1)


def mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The mean of each replica's `value`; outside a strategy of several replicas `value` itself."""
    return _reduced(tf.distribute.ReduceOp.MEAN, value)


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The sum of each replica's `value`; outside a strategy of several replicas `value` itself."""
    return _reduced(tf.distribute.ReduceOp.SUM, value)


def _reduced(op: tf.distribute.ReduceOp, value: tf.Tensor) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    with one_line_where_replicas_cannot_meet():
        return context.all_reduce(op, value)


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
    return merge(Moments(*tf.unstack(sum_over_replicas(slots), axis=1)))


@contextmanager
def one_line_where_replicas_cannot_meet() -> Iterator[None]:
    """Say in a line what TensorFlow says at length where a collective, or an assignment, can't be."""
    try:
        yield
    except RuntimeError as error:
        if "merge_call" not in str(error):
            raise
        raise InputError(
            "a layer with moving statistics was called with training=True under a strategy "
            "from inside a tf.function, tf.cond, tf.while_loop or tf.map_fn, where replicas can't meet; "
            "accepted: a call directly in what strategy.run is given, with a tf.function around "
            "strategy.run"
        ) from error
