"""What follows from constants and from shapes."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.inspection.axes.constants import fold


@pytest.fixture(scope="module")
def folded():
    """A graph with [5, 3] features, and the values that were found in it."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [5, 3], "x")
        ragged = tf.compat.v1.placeholder(tf.float32, [5, None], "ragged")
        one = tf.constant(1)
        tf.add(one, 2, name="three")
        shape = tf.raw_ops.Shape(input=x)
        tf.subtract(shape[0], one, name="last")
        tf.identity(tf.raw_ops.Rank(input=ragged), name="axes")
        tf.identity(tf.raw_ops.Size(input=x), name="count")
        tf.identity(tf.raw_ops.Shape(input=ragged), name="unknown_shape")
        tf.range(shape[0], name="rows")
        tf.identity(x, name="values")
        tf.compat.v1.placeholder_with_default(False, [], name="flag")
        tf.logical_not(graph.get_tensor_by_name("flag:0"), name="not_flag")
        tf.random.uniform([2], name="drawn")
        tf.zeros([100, 100], name="large")
        refusing = tf.raw_ops.CheckNumerics(tensor=tf.constant(np.nan), message="", name="refusing")
        tf.add(refusing, 1.0, name="behind")
    return fold(graph)


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ("three:0", 3),
        ("last:0", 4),
        ("axes:0", 2),
        ("count:0", 15),
        ("rows:0", [0, 1, 2, 3, 4]),
        ("flag:0", False),
        ("not_flag:0", True),
    ],
)
def test_values_are_those_of_numpy(folded, tensor, value):
    np.testing.assert_array_equal(folded.values[tensor], value)


@pytest.mark.parametrize(
    "tensor", ["values:0", "unknown_shape:0", "drawn:0", "large:0", "refusing:0", "behind:0"]
)
def test_what_examples_decide_what_draws_and_what_refuses_has_no_value(folded, tensor):
    assert tensor not in folded.values


def test_constants_are_those_that_no_shape_has_a_part_in(folded):
    assert {"three:0", "flag:0", "not_flag:0"} <= folded.constant
    assert folded.constant.isdisjoint({"last:0", "rows:0", "count:0", "axes:0"})


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda shape: shape[1], 4),
        (lambda shape: shape[-2], 4),
        (lambda shape: shape[1:], [4, 3]),
        (lambda shape: shape[1:2], [4]),
        (lambda shape: shape[:0:-1], [3, 4]),
        (lambda shape: shape[-1] * 2, 6),
        (lambda shape: shape[0], None),
        (lambda shape: shape[:2], None),
        (lambda shape: shape[::2], None),
        (lambda shape: shape[None, 1:], None),
    ],
)
@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_a_part_of_a_shape_is_known_where_the_other_lengths_are_not(call, expected, dtype):
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4, 3])
        part = call(tf.shape(x, out_type=dtype))
    found = fold(graph).values.get(part.name)
    assert (None if found is None else found.tolist()) == expected
    assert found is None or found.dtype == dtype.as_numpy_dtype
