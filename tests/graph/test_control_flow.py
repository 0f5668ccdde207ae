"""Which functions an op calls."""

import tensorflow as tf
from hand_made import node, traced

from tfnorm.graph.control_flow import BRANCHES, LOOPS, branches, loop_body, loop_condition


def test_the_true_branch_of_an_if_comes_first():
    for op in ("If", "StatelessIf"):
        chosen = node("if", op, "p:0", then_branch="yes", else_branch="no")
        assert branches(chosen) == ["yes", "no"]


def test_the_branches_of_a_case_are_in_order():
    graph_def, _, _ = traced(
        lambda i: tf.switch_case(i, [lambda: 1.0, lambda: 2.0, lambda: 3.0]),
        tf.TensorSpec([], tf.int32, "i"),
    )
    (case,) = (n for n in graph_def.node if n.op in BRANCHES)
    functions = {f.signature.name: f for f in graph_def.library.function}
    values = []
    for name in branches(case):
        constants = [n for n in functions[name].node_def if n.op == "Const"]
        values += [tf.make_ndarray(n.attr["value"].tensor).item() for n in constants]
    assert values == [1.0, 2.0, 3.0]


def test_a_loop_has_a_body_and_a_condition():
    graph_def, _, _ = traced(
        lambda x: tf.while_loop(lambda x: tf.reduce_sum(x) < 9.0, lambda x: (x + 1,), [x]),
        tf.TensorSpec([3], tf.float32, "x"),
    )
    (loop,) = (n for n in graph_def.node if n.op in LOOPS)
    ops = {f.signature.name: [n.op for n in f.node_def] for f in graph_def.library.function}
    assert "Less" in ops[loop_condition(loop)]
    assert "Less" not in ops[loop_body(loop)]
