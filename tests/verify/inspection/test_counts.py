"""Counts of a batch that become numbers of the scores."""

import pytest
import tensorflow as tf
from hand_made import laid_open

from tfnorm.verify.inspection.counts import counting

X = [None, 4]


def counted(call, **inputs):
    """The op types of what counts."""
    opened = laid_open(call, **inputs or {"x": X})
    return {opened.graph.nodes[name].op for name in counting(opened)}


def _positive(x):
    return tf.boolean_mask(x, x[:, 0] > 0)


def _number(x):
    return tf.cast(tf.shape(x)[0], tf.float32)


def _parted(x):
    return tf.dynamic_partition(x, tf.cast(x[:, 0] > 0, tf.int32), 2)[1]


def _both(x):
    distinct = tf.unique(x[:, 0]).y[:, None] + tf.zeros([1, 4])
    return tf.concat([_positive(x), distinct], 0)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: x / _number(_positive(x)), {"Where"}),
        (lambda x: x / (_number(tf.tanh(_positive(x))) + 1), {"Where"}),
        (lambda x: x * tf.cast(tf.size(tf.unique(x[:, 0]).y), tf.float32), {"Unique"}),
        (lambda x: x * (_number(_parted(x)) - 1), {"DynamicPartition"}),
        (lambda x: x * _number(_both(x)), {"Where", "Unique"}),
    ],
    ids=["by a mask", "handed on", "by ids", "by a partition", "of both"],
)
def test_how_many_rows_are_selected_is_a_number_of_the_scores(call, expected):
    assert counted(call) == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x * _number(x),
        lambda x: x * tf.cast(tf.shape(_positive(x))[1], tf.float32),
        lambda x: tf.reshape(_positive(x), [tf.shape(_positive(x))[0], 2, 2]),
        lambda x: (_number(_positive(x)), x + 1)[1],
        lambda x: x + tf.reduce_sum(_positive(x), 0),
        lambda x: x * _number(tf.where(tf.constant([True, False, True]))),
    ],
    ids=["all rows", "a length", "a shape", "not scored", "a sum", "of a constant"],
)
def test_what_is_no_count_of_a_batch_is_not_mentioned(call):
    assert counted(call) == set()
