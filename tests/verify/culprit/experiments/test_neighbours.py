"""The same rows among other neighbours."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.experiment import Subject
from tfnorm.verify.culprit.experiments.neighbours import Neighbours

X = tf.TensorSpec([None, 2], tf.float32, "x")
EXAMPLES = {"x": np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)}


@pytest.fixture(scope="module")
def subject_of(probe_of):
    """What is looked into, for a function."""

    def subject(call, spec=X, **variables):
        probe = probe_of(lambda x: {"score": call(x)}, spec, **variables)
        batches = Batches(probe.signature, EXAMPLES)
        return Subject(probe, batches, 3, batches.fixed_size or 8)

    return subject


@pytest.mark.parametrize("fixed", [False, True])
def test_only_the_neighbours_differ(subject_of, fixed):
    spec = tf.TensorSpec([30 if fixed else None, 2], tf.float32, "x")
    subject = subject_of(tf.tanh, spec)
    pairs = list(Neighbours().pairs(subject))
    assert {pair.alignment.last for pair in pairs} == {(False, False), (True, True)}
    for pair in pairs:
        first, second = (feeds["x"] for feeds in pair.feeds)
        assert len(first) == len(second) == subject.size
        watched = slice(-3, None) if pair.alignment.last[0] else slice(3)
        np.testing.assert_array_equal(first[watched], EXAMPLES["x"][:3])
        np.testing.assert_array_equal(second[watched], EXAMPLES["x"][:3])
        assert (first != second).any()
        assert (pair.alone is None) == fixed


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: x - tf.reduce_max(x, axis=0), "Max over the batch axis"),
        (lambda x: tf.cumsum(x), "Cumsum mixes the rows of the batch"),
        (lambda x: tf.cumsum(x, reverse=True), "Cumsum mixes the rows of the batch"),
        (
            lambda x: x * tf.foldl(lambda total, row: total + row, x),
            "StatelessWhile mixes the rows of the batch",
        ),
        (lambda x: tf.where(tf.reduce_min(x) < -9, np.nan, x), "Min over the batch axis"),
    ],
)
def test_what_mixes_rows_is_accused(subject_of, call, said):
    assert Neighbours().find(subject_of(call)).explanation == said


def test_rows_that_keep_to_themselves_are_not_accused(subject_of):
    assert Neighbours().find(subject_of(lambda x: tf.nn.softmax(x))) is None


@pytest.mark.parametrize(
    ("write", "op"),
    [
        (lambda v, x: v.scatter_nd_update([[1]], x[:1]), "ResourceScatterNdUpdate"),
        (lambda v, x: v[:1].assign(x[:1]), "ResourceStridedSliceAssign"),
        (lambda v, x: v.assign(x[:3]), "AssignVariableOp"),
    ],
    ids=["scattered", "sliced", "assigned"],
)
def test_what_writes_rows_to_state_that_is_read_afterwards_is_accused(subject_of, write, op):
    """The same batch twice scores the same: what the call before has left is overwritten."""
    state = tf.Variable(tf.zeros([3, 2]))

    def call(x):
        write(state, x)
        return x + tf.reduce_sum(state, 0)

    found = Neighbours().find(subject_of(call, state=state))
    assert found.region.nodes[found.node].op == op
    assert found.explanation.startswith(f"{op} writes what is in the batch to state")
