"""Where the batch size flows into the rows."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.culprit.size_flow import SizeFlow

X = tf.TensorSpec([None, 4], tf.float32, "x")
ROWS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)


def _size(x):
    return tf.cast(tf.shape(x)[0], tf.float32)


def _found(probe, small=8, large=30):
    return SizeFlow(probe, {"x": ROWS[:small]}).find({"x": ROWS[:large]})


@pytest.mark.parametrize(
    ("serve", "op", "source"),
    [
        (lambda x: x * _size(x), "Mul", "Shape"),
        (lambda x: tf.where(_size(x) > 20.0, 0.0, x), "SelectV2", "Shape"),
        (lambda x: tf.cond(tf.size(x) > 0, lambda: x + _size(x), lambda: x), "AddV2", "Shape"),
        (lambda x: x / tf.reduce_sum(tf.ones_like(x[:, :1])), "Sum", None),
    ],
    ids=["as a factor", "as a threshold", "inside a branch", "counted by a sum"],
)
def test_the_op_that_takes_the_size_in_is_found_with_where_it_came_from(
    probe_of, serve, op, source
):
    mixed = _found(probe_of(lambda x: {"score": serve(x)}, X))
    assert mixed.region.nodes[mixed.node].op == op
    came = mixed.source and mixed.region.nodes[mixed.source].op
    assert came == source


@pytest.mark.parametrize(
    "serve",
    [
        lambda x: tf.reshape(tf.reshape(x, [-1]), [tf.shape(x)[0], 4]) * 2,
        lambda x: x + tf.zeros([tf.shape(x)[0], 4]),
        lambda x: tf.tanh(x) + 0.0 * _size(x),
        lambda x: tf.nn.softmax(x),
    ],
    ids=["a reshape", "zeros of its shape", "times zero", "no size at all"],
)
def test_a_size_that_only_gives_shapes_or_changes_nothing_is_not_found(probe_of, serve):
    assert _found(probe_of(lambda x: {"score": serve(x)}, X)) is None


def test_a_nan_that_is_in_both_batches_is_not_where_the_size_comes_from(probe_of):
    def call(x):
        steps = tf.cast(tf.shape(x)[1], tf.float32)
        nothing = tf.fill([4], (steps - 4) / (steps - 4))
        return x * tf.where(tf.constant([False] * 4), nothing, tf.fill([4], _size(x)))

    mixed = _found(probe_of(lambda x: {"score": call(x)}, X))
    assert mixed.region.nodes[mixed.node].op == "Mul"
    assert mixed.region.nodes[mixed.source].op == "Shape"
