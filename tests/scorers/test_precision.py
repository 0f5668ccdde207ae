import pytest
import tensorflow as tf

from tfnorm.scorers.precision import coarsest_type


def _graph_def(function, *specs):
    return tf.function(function).get_concrete_function(*specs).graph.as_graph_def()


FLOATS = tf.TensorSpec([None, 3], tf.float32)


def test_of_several_types_the_coarsest_counts():
    def mixed(x):
        narrow = tf.cast(x, tf.float16)
        return tf.cast(tf.cast(narrow, tf.float64) * 2, tf.float32)

    assert coarsest_type(_graph_def(mixed, FLOATS)) == "float16"


def test_bfloat16_is_coarser_than_float16():
    def mixed(x):
        return tf.cast(tf.cast(x, tf.float16), tf.bfloat16)

    assert coarsest_type(_graph_def(mixed, FLOATS)) == "bfloat16"


def test_what_functions_and_branches_compute_in_counts():
    @tf.function
    def inner(x):
        return tf.cast(tf.cast(x, tf.bfloat16), tf.float32)

    def outer(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: inner(x), lambda: x)

    graph_def = _graph_def(outer, FLOATS)
    assert not any(node.op == "Cast" for node in graph_def.node)
    assert coarsest_type(graph_def) == "bfloat16"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_graph_of_one_type_computes_in_it(dtype):
    spec = tf.TensorSpec([None], dtype)
    assert coarsest_type(_graph_def(lambda x: x * tf.constant(2, dtype), spec)) == dtype


def test_integers_and_strings_are_exact():
    spec = tf.TensorSpec([None], tf.string)
    assert coarsest_type(_graph_def(lambda word: tf.strings.length(word) + 1, spec)) is None
    assert coarsest_type(tf.compat.v1.GraphDef()) is None
