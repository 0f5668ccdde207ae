"""The moments of the global batch, with replicas that are played by turns.

tests/distribute/ has replicas of TensorFlow's own.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm.errors import InputError
from tfnorm.ops.moments import flat_moments
from tfnorm.ops.replicas import mean_over_replicas, merge_replicas, sum_over_replicas


@dataclasses.dataclass
class Replica:
    """One of several, whose collectives see what `others` have put in."""

    replica_id_in_sync_group: int
    num_replicas_in_sync: int
    others: list = dataclasses.field(default_factory=list)
    put: list = dataclasses.field(default_factory=list)

    def all_reduce(self, op, value):
        self.put.append(value)
        total = tf.add_n([value, *self.others])
        return total / self.num_replicas_in_sync if op == tf.distribute.ReduceOp.MEAN else total


def on_each(function, values, monkeypatch):
    """What each replica gets, having put in what it has: once to know what that is, once with all."""
    found = []
    replicas = [Replica(n, len(values)) for n in range(len(values))]
    for _ in range(2):
        found = []
        for replica, value in zip(replicas, values, strict=True):
            monkeypatch.setattr(tf.distribute, "get_replica_context", lambda r=replica: r)
            found.append(function(value))
        for replica in replicas:
            replica.others = [other.put[0] for other in replicas if other is not replica]
    assert all(len(replica.put) == 2 for replica in replicas)
    return found


@pytest.mark.parametrize("function", [mean_over_replicas, sum_over_replicas, merge_replicas])
def test_outside_of_a_strategy_and_on_one_replica_nothing_is_done(function, monkeypatch):
    local = flat_moments(tf.ones((2, 3)))
    assert function(local) is local
    for context in (None, Replica(0, 1)):
        monkeypatch.setattr(tf.distribute, "get_replica_context", lambda context=context: context)
        assert function(local) is local


@pytest.mark.parametrize(
    ("function", "expected"), [(mean_over_replicas, [3.0, 3.0]), (sum_over_replicas, [9.0, 9.0])]
)
def test_the_mean_and_the_sum_are_over_all_replicas(function, expected, monkeypatch):
    values = [tf.constant([1.0, 4.0]), tf.constant([2.0, 0.0]), tf.constant([6.0, 5.0])]
    for found in on_each(function, values, monkeypatch):
        assert found.numpy().tolist() == expected


def test_every_replica_has_the_moments_of_all_values_each_shard_by_its_count(monkeypatch):
    """One shard is short and one is empty; all go through one collective."""
    x = np.random.default_rng(0).normal(100, 2, (9, 3))
    shards = [x[:6], x[6:6], x[6:]]
    local = [flat_moments(tf.constant(shard)) for shard in shards]
    local = [m._replace(count=tf.fill([3], m.count)) for m in local]
    for found in on_each(merge_replicas, local, monkeypatch):
        assert found.count.numpy().tolist() == [9] * 3
        assert_close(found.mean, x.mean(0), 1e-12)
        assert_close(found.variance, x.var(0), 1e-12)


@pytest.mark.parametrize("function", [mean_over_replicas, merge_replicas])
def test_replicas_that_can_not_meet_are_told_in_a_line_and_other_errors_are_left(
    function, monkeypatch
):
    class Apart(Replica):
        def all_reduce(self, op, value):
            raise RuntimeError(self.others)

    moments = flat_moments(tf.ones((2, 3)))
    local = moments._replace(count=tf.fill([3], moments.count))
    value = local if function is merge_replicas else local.mean
    for reason, kind in (
        ("`merge_call` called while in a tf.cond", InputError),
        ("lost", RuntimeError),
    ):
        context = Apart(0, 2, reason)
        monkeypatch.setattr(tf.distribute, "get_replica_context", lambda context=context: context)
        with pytest.raises(kind, match="strategy.run" if kind is InputError else "lost") as caught:
            function(value)
        assert "\n" not in str(caught.value)
