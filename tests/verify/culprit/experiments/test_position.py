"""The same rows at the start of a batch and at its end."""

import numpy as np
import tensorflow as tf

from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.experiment import Subject
from tfnorm.verify.culprit.experiments.position import Position

EXAMPLES = {"x": np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)}


def _subject(probe_of, call):
    probe = probe_of(lambda x: {"score": call(x)}, tf.TensorSpec([None, 2], tf.float32, "x"))
    return Subject(probe, Batches(probe.signature, EXAMPLES), 3, 8)


def test_the_same_rows_stand_first_and_last(probe_of):
    (pair,) = Position().pairs(_subject(probe_of, tf.tanh))
    first, second = (feeds["x"] for feeds in pair.feeds)
    np.testing.assert_array_equal(first[:3], EXAMPLES["x"][:3])
    np.testing.assert_array_equal(second[-3:], EXAMPLES["x"][:3])
    np.testing.assert_array_equal(np.sort(first, axis=0), np.sort(second, axis=0))


def test_what_numbers_the_rows_is_accused_and_a_sum_of_all_rows_is_not(probe_of):
    def numbered(x):
        return x + 0.1 * tf.range(tf.cast(tf.shape(x)[0], tf.float32))[:, None]

    found = Position().find(_subject(probe_of, numbered))
    assert found.region.nodes[found.node].op == "Range"
    assert "place in the batch" in found.explanation
    assert Position().find(_subject(probe_of, lambda x: x - tf.reduce_max(x))) is None
