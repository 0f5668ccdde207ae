"""Any tensor of a signature can be fetched, and any op tried alone."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.graph.nodes import producer

X = tf.TensorSpec([None, 3], tf.float32, "x")
FED = {"x": np.array([[1, 2, 3], [4, 5, 6]], np.float32)}


@pytest.fixture(scope="module")
def probe(probe_of):
    """A product, a branch with two functions, and a check of the values."""
    w = tf.Variable(2.0 * tf.eye(3))

    def serve(x, branch):
        with tf.control_dependencies([tf.debugging.assert_less(x, 100.0)]):
            h = tf.nn.relu(x @ w)
        cases = [lambda: h + 1.0, lambda: h - 1.0, lambda: 0.0 * h]
        h = tf.switch_case(branch, cases)
        return {"score": tf.cond(tf.reduce_all(h > 0), lambda: tf.sqrt(h), lambda: -h)}

    return probe_of(serve, X, tf.TensorSpec([], tf.int32, "branch"), w=w)


def _feeds(branch):
    return FED | {"branch": np.int32(branch)}


def _named(probe, op):
    return next(name for name, node in probe.base.nodes.items() if node.op == op)


def test_a_tensor_inside_is_what_numpy_computes(probe):
    (h,) = probe.run(_feeds(0), [f"{_named(probe, 'Relu')}:0"])
    np.testing.assert_allclose(h, 2 * FED["x"], rtol=1e-6)


def test_shapes_are_those_of_the_batch(probe):
    shapes = probe.shapes(probe.base, _feeds(0))
    assert list(shapes) == probe.base.tensors
    assert shapes[f"{_named(probe, 'Relu')}:0"] == (2, 3)
    longer = probe.shapes(probe.base, {"x": np.ones((5, 3), "f"), "branch": np.int32(0)})
    assert longer[f"{_named(probe, 'Relu')}:0"] == (5, 3)


def test_variables_do_not_vary_and_what_the_inputs_flow_into_does(probe):
    region = probe.base
    assert region.varies(f"{_named(probe, 'MatMul')}:0")
    assert not region.varies(f"{_named(probe, 'ReadVariableOp')}:0")
    assert {producer(t) for t in region.tensors} <= region.nodes.keys()


def test_a_replaced_tensor_is_what_its_readers_see(probe):
    relu = f"{_named(probe, 'Relu')}:0"
    (score,) = probe.run(_feeds(0), probe.base.outputs, {relu: np.full((2, 3), 8, "f")})
    np.testing.assert_allclose(score, np.full((2, 3), 3.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("branch", "op"), [(0, "AddV2"), (1, "Sub"), (2, "Mul"), (7, "Mul"), (-2, "Mul")]
)
def test_the_branch_taken_is_the_one_chosen_and_the_last_for_any_other_number(probe, branch, op):
    region = probe.taken_branch(probe.base, _named(probe, "StatelessCase"), _feeds(branch))
    assert op in [node.op for node in region.nodes.values()]
    values = probe.run(_feeds(branch), region.outputs)[0]
    expected = {0: 2 * FED["x"] + 1, 1: 2 * FED["x"] - 1}.get(branch, 0 * FED["x"])
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.parametrize(("branch", "op"), [(0, "Sqrt"), (2, "Neg")])
def test_the_branch_of_an_if_is_the_true_one_where_it_holds(probe, branch, op):
    region = probe.taken_branch(probe.base, _named(probe, "StatelessIf"), _feeds(branch))
    assert op in [node.op for node in region.nodes.values()]
    assert region.caller == _named(probe, "StatelessIf")


def test_a_copied_op_runs_on_the_values_given(probe):
    relu = probe.base.nodes[_named(probe, "Relu")]
    copied = probe.add_copies(probe.base, [relu])[relu.name]
    values = np.array([[-1.0, 0.5, 2.0]], np.float32)
    (found,) = probe.run_copy(copied, _feeds(0), {relu.input[0]: values}, [0])
    np.testing.assert_array_equal(found, [[0, 0.5, 2]])


def test_a_copied_op_keeps_what_does_not_vary(probe):
    product = probe.base.nodes[_named(probe, "MatMul")]
    copied = probe.add_copies(probe.base, [product])[product.name]
    assert list(copied.placeholders) == [product.input[0]]
    values = {product.input[0]: np.ones((1, 3), np.float32)}
    np.testing.assert_array_equal(probe.run_copy(copied, _feeds(0), values, [0])[0], [[2, 2, 2]])


def test_values_that_the_model_refuses_are_an_input_error(probe):
    with pytest.raises(InputError, match="'serving_default' refuses these inputs"):
        probe.run({"x": np.full((1, 3), 200, "f"), "branch": np.int32(0)}, probe.base.outputs)


def test_the_coarsest_rounding_is_that_of_the_coarsest_type_in_between(probe, probe_of):
    assert probe.epsilon == np.finfo(np.float32).eps
    half = probe_of(lambda x: {"y": tf.cast(tf.cast(x, tf.float16) * 2, tf.float32)}, X)
    assert half.epsilon == np.finfo(np.float16).eps
    ids = probe_of(lambda i: {"y": i + 1}, tf.TensorSpec([None], tf.int64, "i"))
    assert ids.epsilon == 0


def test_effects_happen_with_every_call(probe_of):
    calls = tf.Variable(0.0)

    def serve(x):
        calls.assign_add(1.0)
        return {"y": x * 2}

    probe = probe_of(serve, X, calls=calls)
    read = next(n.name for n in probe.base.nodes.values() if n.op == "Mul")
    assert probe.base.assigned
    for _ in range(2):
        probe.run(FED, [f"{read}:0"])
    session = probe._session
    handle = next(iter(t for t in probe.base.assigned if t.startswith("Variable")))
    with probe._graph.as_default():
        value = tf.raw_ops.ReadVariableOp(
            resource=probe._graph.get_tensor_by_name(handle), dtype=tf.float32
        )
    assert session.run(value) == 2
