"""Which axes of a tensor grow with the batch."""

import numpy as np
import pytest
import tensorflow as tf
from hand_made import axes_of

X = tf.TensorSpec([None, 4, 3], tf.float32, "x")
STEPS = tf.TensorSpec([None, None, 3], tf.float32, "x")


def _axes(call, spec=X):
    inlined, axes = axes_of(call, spec)
    return set(axes.axes(inlined.outputs[0]))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: tf.tanh(x), {0}),
        (lambda x: tf.transpose(x, [2, 0, 1]), {1}),
        (lambda x: tf.reshape(x, [-1, 3]), {0}),
        (lambda x: tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, 3]), {0}),
        (lambda x: tf.reshape(x, [-1]), {0}),
        (lambda x: tf.reduce_sum(x, axis=0), set()),
        (lambda x: tf.reduce_sum(x, axis=[1, 2]), {0}),
        (lambda x: tf.einsum("btf,ctf->bc", x, x), {0, 1}),
        (lambda x: tf.ones([7, 3]), set()),
        (lambda x: x[:, None], {0}),
        (lambda x: tf.shape(x), set()),
        (lambda x: tf.concat([x, x], axis=0), {0}),
        (lambda x: tf.concat([x, x[:1]], axis=0), set()),
    ],
    ids=[
        "element by element",
        "transposed",
        "folded with steps",
        "folded behind steps",
        "flat",
        "reduced away",
        "reduced to rows",
        "twice",
        "a constant of a tried size",
        "a new axis",
        "a shape",
        "doubled",
        "one row more",
    ],
)
def test_axes_grow_with_the_batch(call, expected):
    assert _axes(call) == expected


def test_a_length_left_open_is_no_batch_axis():
    assert _axes(lambda x: tf.transpose(x, [1, 0, 2]), STEPS) == {1}


def test_a_batch_dimension_that_is_fixed_is_tried_with_other_sizes():
    assert _axes(tf.tanh, tf.TensorSpec([8, 4], tf.float32, "x")) == {0}


def test_the_batch_axis_is_followed_into_a_branch_and_out_of_it():
    inlined, axes = axes_of(
        lambda x: tf.cond(tf.size(x) > 0, lambda: tf.transpose(tf.sinh(x), [1, 0, 2]), lambda: x),
        tf.TensorSpec([None, 4, 3], tf.float32, "x"),
    )
    (inside,) = (name for name, node in inlined.nodes.items() if node.op == "Sinh")
    assert axes.axes(f"{inside}:0") == {0}
    assert axes.axes(inlined.outputs[0]) == {1}


def test_the_batch_axis_is_followed_behind_a_loop_over_steps():
    assert _axes(lambda x: tf.map_fn(tf.tanh, tf.transpose(x, [1, 0, 2]))) == {1}


def test_loops_in_a_row_are_followed():
    def call(x):
        x = tf.transpose(x, [1, 0, 2])
        for _ in range(3):
            x = tf.map_fn(tf.tanh, x)
        return x

    assert _axes(call) == {1}


def test_the_batch_axis_is_followed_behind_loops_over_the_rows():
    assert _axes(lambda x: tf.map_fn(tf.tanh, tf.map_fn(tf.tanh, x))) == {0}


def test_the_batch_axis_is_followed_behind_hash_tables():
    def call(words):
        pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2])
        return tf.lookup.StaticHashTable(pairs, 0).lookup(words)

    assert _axes(call, tf.TensorSpec([None, 3], tf.string, "words")) == {0}


def test_an_op_that_takes_one_batch_size_alone_is_told_and_hides_no_other():
    inlined, axes = axes_of(lambda x: (tf.reshape(x, [1, 12]), tf.tanh(x)), X)
    reshaped, kept = inlined.outputs
    assert axes.axes(kept) == {0}
    assert axes.shape(reshaped) is None
    ((name, why),) = axes.refused.items()
    assert f"{name}:0" == reshaped
    assert "Cannot reshape" in why


def test_shapes_types_and_constants_are_told():
    inlined, axes = axes_of(lambda x: tf.cast(x, tf.int32) + tf.constant([1, 2, 3]), X)
    (constant,) = (name for name, node in inlined.nodes.items() if node.op == "Const")
    np.testing.assert_array_equal(axes.constant(f"{constant}:0"), [1, 2, 3])
    assert axes.constant(inlined.outputs[0]) is None
    assert axes.dtype(inlined.outputs[0]) == tf.int32
    first, second = (axes.shape(inlined.outputs[0], which) for which in range(2))
    assert first[1:] == second[1:] == [4, 3]
    assert first[0] != second[0]


def test_of_a_tensor_that_is_not_there_nothing_is_known():
    _, axes = axes_of(tf.tanh, X)
    assert axes.axes("nowhere:0") == frozenset()
    assert axes.shape("nowhere:0") is None
    assert axes.dtype("nowhere:0") is None
    assert axes.constant("nowhere:0") is None


def test_an_unknown_rank_has_no_known_axes():
    inlined, axes = axes_of(tf.tanh, tf.TensorSpec(None, tf.float32, "x"))
    assert axes.shape(inlined.outputs[0]) is None
    assert axes.axes(inlined.outputs[0]) == frozenset()


def test_a_constant_with_nan_is_one():
    row = np.array([1.0, np.nan, 2.0], np.float32)
    inlined, axes = axes_of(lambda x: x[:, 0] + tf.constant(row), X)
    held = [axes.constant(f"{name}:0") for name in inlined.nodes]
    assert any(value is not None and np.array_equal(value, row, equal_nan=True) for value in held)
    words = np.array([b"a", b"b"], object)
    inlined, axes = axes_of(lambda x: tf.equal(tf.constant(words), tf.as_string(x[:, 0, :2])), X)
    held = [axes.constant(f"{name}:0") for name in inlined.nodes]
    assert any(value is not None and np.array_equal(value, words) for value in held)
