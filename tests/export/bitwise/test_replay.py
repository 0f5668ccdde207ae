import numpy as np
import pytest
import tensorflow as tf

from tfnorm.export.bitwise.replay import copy, replay

X = np.arange(6, dtype=np.float32).reshape(3, 2) - 2


def concrete(function, *specs):
    specs = specs or (tf.TensorSpec([None, 2], tf.float32),)
    return tf.function(function, input_signature=specs, autograph=False).get_concrete_function()


def replayed(source, replacements):
    """A function that computes what `source` does with other ops; and the kinds of all its ops."""

    def call(*inputs):
        feeds = [*inputs, *source.captured_inputs]
        return replay(source.graph, feeds, source.graph.outputs, replacements)

    specs = [tf.TensorSpec(t.shape, t.dtype) for t in source.inputs[: len(source.inputs)]]
    count = len(source.inputs) - len(source.captured_inputs)
    made = concrete(call, *specs[:count])
    definition = made.graph.as_graph_def()
    kinds = [node.op for node in definition.node]
    for function in definition.library.function:
        kinds += [node.op for node in function.node_def]
    return made, kinds


def square(op, inputs):
    (x,) = inputs
    return x * x


def test_without_replacements_the_same_ops_give_the_same_bits():
    source = concrete(lambda x: tf.nn.softmax(tf.sin(x) @ tf.ones([2, 3])))
    made, kinds = replayed(source, {})
    (got,) = made(X)
    np.testing.assert_array_equal(got, source(X))
    assert {"Sin", "MatMul", "Softmax"} <= set(kinds)


def test_ops_of_a_kind_are_replaced_and_no_others():
    source = concrete(lambda x: tf.nn.relu(tf.sin(x)) + tf.sin(x + 1))
    made, kinds = replayed(source, {"Sin": square})
    (got,) = made(X)
    np.testing.assert_allclose(got, np.maximum(X * X, 0) + (X + 1) ** 2, rtol=1e-6)
    assert "Sin" not in kinds
    assert "Relu" in kinds


def test_a_replacement_sees_the_op_and_its_inputs_in_the_new_graph_and_may_leave_it():
    source = concrete(lambda x: tf.sin(x) + tf.reduce_sum(tf.sin(x[:, 0])))
    seen = []

    def only_matrices(op, inputs):
        seen.append((op.type, op.graph is source.graph, inputs[0].graph is source.graph))
        return None if inputs[0].shape.rank == 1 else 0 * inputs[0]

    made, kinds = replayed(source, {"Sin": only_matrices})
    assert seen == [("Sin", True, False)] * 2
    assert kinds.count("Sin") == 1
    np.testing.assert_allclose(made(X)[0], np.full_like(X, np.sin(X[:, 0]).sum()), rtol=1e-6)


def test_variables_are_captured_and_read():
    weight = tf.Variable([[1.0], [2.0]])
    source = concrete(lambda x: tf.nn.sigmoid(x @ weight))
    made, _ = replayed(source, {})
    weight.assign([[3.0], [4.0]])
    np.testing.assert_allclose(made(X)[0], 1 / (1 + np.exp(-X @ [[3.0], [4.0]])), rtol=1e-6)


def test_shapes_that_are_known_stay_known():
    source = concrete(lambda x: tf.ensure_shape(tf.sin(x)[:3], [3, 2]))
    assert source.outputs[0].shape == [3, 2]

    def forget(op, inputs):
        return tf.raw_ops.PlaceholderWithDefault(input=inputs[0], shape=tf.TensorShape(None))

    seen = []
    made, _ = replayed(
        source, {"Sin": forget, "StridedSlice": lambda op, inputs: seen.append(inputs[0].shape)}
    )
    assert made.outputs[0].shape == [3, 2]
    assert seen == [tf.TensorShape([None, 2])]


def test_functions_branches_and_loops_are_gone_into_and_their_originals_are_left_alone():
    @tf.function(autograph=False)
    def called(x):
        return tf.sin(x)

    def nested(x):
        x = called(x)
        x = tf.cond(tf.reduce_sum(x) > 0, lambda: tf.sin(x), lambda: called(-x))
        x = tf.switch_case(tf.size(x) % 2, [lambda: tf.sin(x), lambda: tf.zeros_like(x)])
        _, x = tf.while_loop(lambda i, _: i < 2, lambda i, x: (i + 1, tf.sin(x)), (0, x))
        return x

    source = concrete(nested)
    before = source(X).numpy()
    made, kinds = replayed(source, {"Sin": square})
    assert "Sin" not in kinds
    np.testing.assert_allclose(made(X)[0], X ** (2**5), rtol=1e-5)
    np.testing.assert_array_equal(source(X), before)


def test_what_has_to_come_first_comes_first():
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32)])
    def checked(x):
        with tf.control_dependencies([tf.debugging.assert_positive(x, "not positive")]):
            return tf.sqrt(x)

    made, _ = replayed(checked.get_concrete_function(), {})
    np.testing.assert_array_equal(made(tf.constant([4.0]))[0], [2.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="not positive"):
        made(tf.constant([-4.0]))


def test_what_waits_for_a_replaced_op_waits_for_what_replaces_it():
    def late(x):
        first = tf.sin(x)
        with tf.control_dependencies([first.op]):
            return tf.identity(x)

    made, _ = replayed(concrete(late), {"Sin": square})
    (waiting,) = (op for op in made.graph.get_operations() if op.control_inputs)
    assert [op.type for op in waiting.control_inputs] == ["Mul"]


def test_a_copy_has_the_attributes_apart_from_what_names_other_ops():
    source = concrete(lambda x: tf.matmul(x, x, transpose_b=True))
    (product,) = (op for op in source.graph.get_operations() if op.type == "MatMul")
    product._set_attr("_class", tf.compat.v1.AttrValue(list={"s": [b"loc:@gone"]}))
    with tf.Graph().as_default():
        inputs = [tf.zeros([4, 2]), tf.zeros([5, 2])]
        made = copy(product, inputs)
    assert made.outputs[0].shape == [4, 5]
    assert made.get_attr("transpose_b")
    assert "_class" not in made.node_def.attr


def test_a_copy_calls_functions_by_the_names_that_it_is_given():
    called = tf.function(lambda x: tf.sin(x), autograph=False)
    source = concrete(lambda x: called(x))
    (call,) = (op for op in source.graph.get_operations() if "Call" in op.type)
    other = concrete(lambda x: x + 1)
    name = other.function_def.signature.name
    with tf.Graph().as_default() as graph:
        other.add_to_graph(graph)
        made = copy(call, [tf.zeros([1, 2])], lambda old: name)
        with tf.compat.v1.Session(graph=graph) as session:
            assert session.run(made.outputs[0]).tolist() == [[1, 1]]
