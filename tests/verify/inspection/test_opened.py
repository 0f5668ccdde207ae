"""A signature's graph laid open."""

import pytest
import tensorflow as tf
from hand_made import laid_open
from tensorflow.core.protobuf import meta_graph_pb2

from tfnorm.graph.inline import BrokenGraph
from tfnorm.verify.inspection.opened import open_graph


def _ops(opened, names):
    return {opened.graph.nodes[name].op for name in names}


def _branching(x, flag):
    return tf.cond(flag, lambda: tf.sinh(x), lambda: tf.cosh(x))


def test_what_the_scores_depend_on_is_told_from_what_they_do_not():
    def call(x):
        tf.cosh(x)
        return tf.sinh(x)

    opened = laid_open(call, x=[None, 3])
    assert _ops(opened, opened.scoring) == {"Placeholder", "Sinh"}
    assert opened.outputs["score"] in opened.graph.outputs


@pytest.mark.parametrize(("flag", "op", "other"), [(True, "Sinh", "Cosh"), (False, "Cosh", "Sinh")])
def test_the_branch_of_a_flag_that_is_not_fed_is_the_only_one(flag, op, other):
    ops = [n.op for n in laid_open(_branching, x=[None, 3], flag=flag).graph.nodes.values()]
    assert op in ops and other not in ops


def test_a_number_that_no_branch_has_decides_for_the_last():
    def call(x):
        number = tf.raw_ops.PlaceholderWithDefault(input=7, shape=[])
        return tf.switch_case(number, [lambda: tf.sinh(x), lambda: tf.cosh(x), lambda: tf.tanh(x)])

    ops = {n.op for n in laid_open(call, x=[None, 3]).graph.nodes.values()}
    assert "Tanh" in ops and ops.isdisjoint({"Sinh", "Cosh"})


def test_branches_in_branches_are_decided_too():
    def call(x, flag):
        inner = lambda: tf.cond(flag, lambda: tf.sinh(x), lambda: tf.cosh(x))  # noqa: E731
        return tf.cond(tf.logical_not(flag), lambda: tf.tanh(x), inner)

    ops = {n.op for n in laid_open(call, x=[None, 3], flag=True).graph.nodes.values()}
    assert "Sinh" in ops and ops.isdisjoint({"Tanh", "Cosh"})


def test_a_branch_in_a_loop_is_decided_where_no_turn_changes_it():
    def call(x, flag):
        def turn(i, x):
            return i + 1, tf.cond(flag, lambda: tf.sinh(x), lambda: tf.cosh(x))

        return tf.while_loop(lambda i, x: i < 3, turn, [0, x])[1]

    ops = {n.op for n in laid_open(call, x=[None, 3], flag=False).graph.nodes.values()}
    assert "Cosh" in ops and "Sinh" not in ops


def test_a_turn_of_a_loop_is_not_taken_for_all_of_them():
    def call(x):
        def turn(i, x):
            return i + 1, tf.cond(i < 1, lambda: tf.sinh(x), lambda: tf.cosh(x))

        return tf.while_loop(lambda i, x: i < 3, turn, [0, x])[1]

    ops = {n.op for n in laid_open(call, x=[None, 3]).graph.nodes.values()}
    assert {"Sinh", "Cosh"} <= ops


def test_a_graph_without_its_output_is_broken():
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.signature_def["serve"].outputs["score"].name = "nowhere:0"
    with pytest.raises(BrokenGraph, match="nowhere"):
        open_graph(meta_graph, "serve")
