"""Slices and gathers: whether each row stays where it is."""

import pytest
import tensorflow as tf
from hand_made import axes_of

from tfnorm.graph.nodes import data_inputs
from tfnorm.verify.inspection.axes.picks import picks

X = tf.TensorSpec([None, 4], tf.float32, "x")
IDS = tf.TensorSpec([None, 4], tf.int32, "x")
FIXED = ("takes fixed rows of the batch", False)
COMPUTED = ("picks rows of the batch by numbers that are computed", False)
PLACE = "takes rows by their place in the batch"
MOVES = "moves rows along the batch axis"


def _rows(x):
    return tf.range(tf.shape(x)[0])


def _best(x):
    return tf.argmax(x, axis=1, output_type=tf.int32)


@pytest.mark.parametrize(
    ("call", "spec", "expected"),
    [
        (lambda x: x[0], X, FIXED),
        (lambda x: x[:3], X, FIXED),
        (lambda x: x[-1], X, FIXED),
        (lambda x: x[:, 1], X, None),
        (lambda x: x[::-1], X, (MOVES, True)),
        (lambda x: x[::-1], IDS, (MOVES, False)),
        (lambda x: x[:, ::-1], X, None),
        (lambda x: x[tf.newaxis, ::-1], X, None),
        (lambda x: tf.slice(x, [2, 0], [1, 4]), X, FIXED),
        (lambda x: tf.gather(x, [1, 0]), X, FIXED),
        (lambda x: tf.gather(x, _rows(x)), X, None),
        (lambda x: tf.gather(x, tf.reverse(_rows(x), [0])), X, (PLACE, True)),
        (lambda x: tf.gather(x, tf.shape(x)[0] - 1), X, (PLACE, True)),
        (lambda x: tf.gather(x, tf.shape(x)[0] - 1), IDS, (PLACE, False)),
        (lambda x: tf.gather(x, _best(x)), X, COMPUTED),
        (lambda x: tf.gather(x, _best(x), axis=1), X, None),
        (lambda x: tf.gather(x, _best(x), axis=1, batch_dims=1), X, None),
        (lambda x: tf.gather(tf.transpose(x), [0], axis=-1), X, FIXED),
        (lambda x: tf.gather_nd(x, tf.stack([_rows(x), _best(x)], axis=1)), X, None),
        (lambda x: tf.gather_nd(x, tf.stack([_rows(x), 0 * _rows(x)], axis=1)), X, None),
        (lambda x: tf.gather_nd(x, tf.concat([_rows(x)[:, None], _best(x)[:, None]], 1)), X, None),
        (lambda x: tf.gather_nd(x, tf.stack([_best(x), _best(x)], axis=1)), X, COMPUTED),
        (lambda x: tf.gather_nd(tf.transpose(x), tf.stack([0 * _rows(x), _rows(x)], 1)), X, None),
        (lambda x: tf.gather_nd(x, [[0, 0], [1, 2]]), X, FIXED),
        (lambda x: tf.gather_nd(tf.transpose(x), [[0], [1]]), X, None),
    ],
)
def test_rows_are_told_by_the_numbers_that_pick_them(call, spec, expected):
    inlined, axes = axes_of(call, spec)
    picking = ("StridedSlice", "Slice", "GatherV2", "GatherNd")
    seen = [
        found
        for node in inlined.nodes.values()
        if node.op in picking and (found := picks(node, data_inputs(node), axes))
    ]
    assert [(found.what, found.certain) for found in seen] == ([expected] if expected else [])
