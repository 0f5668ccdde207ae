"""The same rows in batches of other sizes."""

import numpy as np
import tensorflow as tf

from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.batch_size import BatchSize
from tfnorm.verify.culprit.experiments.experiment import Subject

X = tf.TensorSpec([None, 2], tf.float32, "x")
EXAMPLES = {"x": np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)}


def _found(probe_of, call, sizes, spec=X):
    probe = probe_of(lambda x: {"score": call(x)}, spec)
    batches = Batches(probe.signature, EXAMPLES)
    return BatchSize(sizes).find(Subject(probe, batches, 3, batches.fixed_size or 8))


def _above_twenty(x):
    return tf.where(tf.shape(x)[0] > 20, 2.0 * x, x)


def test_the_sizes_given_are_those_compared(probe_of):
    assert _found(probe_of, _above_twenty, [2, 16]) is None
    found = _found(probe_of, _above_twenty, [2, 32])
    assert found.region.nodes[found.node].op == "SelectV2"
    assert "batch size flows in here, from" in found.explanation
    assert "Leave the batch size out" in found.advice


def test_a_size_that_the_model_refuses_is_left_out(probe_of):
    def at_most_ten(x):
        with tf.control_dependencies([tf.debugging.assert_less(tf.shape(x)[0], 10)]):
            return x * tf.cast(tf.shape(x)[0], tf.float32)

    found = _found(probe_of, at_most_ten, [50, 6])
    assert found.region.nodes[found.node].op == "Mul"


def test_a_fixed_batch_dimension_has_no_other_sizes(probe_of):
    spec = tf.TensorSpec([9, 2], tf.float32, "x")
    assert (
        _found(probe_of, lambda x: x * tf.cast(tf.shape(x)[0], tf.float32), [2, 32], spec) is None
    )


def test_scores_that_the_size_does_not_flow_into_are_not_accused(probe_of):
    assert _found(probe_of, lambda x: tf.nn.softmax(x), [2, 32]) is None
