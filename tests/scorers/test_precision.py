import pytest
import tensorflow as tf

from tfnorm.differences import epsilon
from tfnorm.scorers.load import load_scorer
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


def _of_outputs(function, *specs):
    """The coarsest type of each output of a function."""
    graph = tf.function(function).get_concrete_function(*specs)
    graph_def = graph.graph.as_graph_def()
    return [coarsest_type(graph_def, [tensor.name]) for tensor in graph.outputs]


def test_each_output_has_the_precision_of_what_it_needs():
    def several(x):
        narrow = tf.cast(tf.cast(x, tf.bfloat16) * 2, tf.float32)
        return x * 2, narrow + x, tf.shape(x)

    assert _of_outputs(several, FLOATS) == ["float32", "bfloat16", None]


def test_numbers_that_are_only_kept_in_16_bits_are_computed_with_in_32():
    table = tf.cast(tf.reshape(tf.range(6.0), [3, 2]) / 7, tf.float16)
    scale = tf.Variable(tf.ones([5], tf.float16))

    def stored(x, ids):
        kept = tf.concat([tf.gather(table, ids), tf.reverse(x, [1])], axis=1)
        return tf.cast(kept, tf.float32) * tf.cast(scale * 3, tf.float32)

    half, ids = tf.TensorSpec([None, 3], tf.float16), tf.TensorSpec([None], tf.int32)
    assert _of_outputs(stored, half, ids) == ["float32"]
    assert _of_outputs(lambda x, ids: stored(x * 2, ids), half, ids) == ["float16"]


def test_what_is_given_as_it_is_has_its_own_type():
    assert _of_outputs(lambda x: tf.reverse(x, [1]), FLOATS) == ["float32"]
    assert _of_outputs(lambda x: x[:, 0], tf.TensorSpec([None, 2], tf.float16)) == ["float16"]


def test_branches_and_loops_count_whole():
    def branched(x):
        return tf.cond(
            tf.reduce_sum(x) > 0, lambda: x, lambda: tf.cast(tf.cast(x, tf.float16) * 2, tf.float32)
        )

    def looped(x):
        return tf.while_loop(
            lambda y: tf.reduce_sum(y) < 9,
            lambda y: tf.cast(tf.cast(y, tf.bfloat16) * 2, tf.float32),
            [x],
        )

    assert _of_outputs(branched, FLOATS) == ["float16"]
    assert _of_outputs(looped, FLOATS) == ["bfloat16"]


def test_numbers_of_which_only_the_shape_counts_do_not_coarsen():
    def shaped(x):
        return x * tf.cast(tf.shape(tf.cast(x, tf.float16) * 2)[1], tf.float32)

    assert _of_outputs(shaped, FLOATS) == ["float32"]


def test_a_signature_is_not_as_coarse_as_another_of_the_same_file(tmp_path):
    module = tf.Module()
    module.fine = tf.function(lambda x: {"score": x * 2}, input_signature=[FLOATS])
    module.coarse = tf.function(
        lambda x: {"score": tf.cast(tf.cast(x, tf.float16) * 2, tf.float32)},
        input_signature=[FLOATS],
    )
    signatures = {"serving_default": module.fine, "coarse": module.coarse}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    scorers = [load_scorer(tmp_path, signature=name) for name in signatures]
    assert [scorer.precision for scorer in scorers] == ["float32", "float16"]
    assert [scorer.precision_of("score") for scorer in scorers] == ["float32", "float16"]


def test_where_a_gpu_computes_products_of_float32_are_rounded(monkeypatch):
    graph_def = _graph_def(lambda x: x @ tf.ones([3, 3]), FLOATS)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert coarsest_type(graph_def) == "tensorfloat32"
    assert epsilon("tensorfloat32") == epsilon("float16")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        assert coarsest_type(graph_def) == "float32"
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)
