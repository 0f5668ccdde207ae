"""Which tensors may differ from call to call."""

import pytest
from hand_made import node, nodes
from tensorflow.core.framework import function_pb2, graph_pb2

from tfnorm.graph.varying import assigned, hidden, remembers, varying


def test_what_the_inputs_flow_into_varies_and_constants_do_not():
    graph = nodes(
        node("c", "Const"),
        node("d", "Neg", "c:0"),
        node("h", "Add", "x:0", "d:0"),
        node("y", "Neg", "h:0"),
    )
    assert varying(graph, {"x"}, ()) == {"h", "y"}


def test_what_draws_varies_and_a_variable_that_stays_does_not():
    graph = nodes(
        node("read", "ReadVariableOp", "w:0"),
        node("noise", "RandomUniform", "shape:0"),
        node("sum", "Add", "noise:0", "read:0"),
    )
    assert varying(graph, (), ()) == {"noise", "sum"}


def test_a_variable_that_a_call_changes_varies_wherever_it_is_read():
    graph = nodes(
        node("read", "ReadVariableOp", "w:0"),
        node("row", "ResourceGather", "w:0", "i:0"),
        node("other", "ReadVariableOp", "v:0"),
        node("add", "ResourceScatterAdd", "w:0", "i:0", "d:0"),
    )
    assert assigned(graph) == {"w:0", "i:0", "d:0"}
    assert varying(graph, (), {"w:0"}) >= {"read", "row"}
    assert "other" not in varying(graph, (), {"w:0"})


def test_a_reference_variable_of_tf1_varies_behind_what_hands_it_on():
    graph = nodes(
        node("handed", "RefSwitch", "w:0", "p:0"),
        node("count", "AssignAdd", "handed:1", "one:0"),
        node("one", "Const"),
        node("read", "Identity", "w:0"),
    )
    assert assigned(graph) == {"w:0"}
    assert varying(graph, (), assigned(graph)) >= {"count", "read"}


def test_what_is_given_to_control_flow_with_effects_may_be_assigned_there():
    graph = nodes(
        node("if", "If", "p:0", "w:0"),
        node("pure", "StatelessIf", "p:0", "v:0"),
        node("p", "Const"),
    )
    assert assigned(graph) == {"w:0"}


def test_the_inside_of_a_branch_of_tf1_is_hidden_and_its_merge_is_not():
    graph = nodes(
        node("x", "Placeholder"),
        node("switch", "Switch", "x:0", "p:0"),
        node("then", "Neg", "switch:1"),
        node("else", "Tanh", "switch:0"),
        node("merge", "Merge", "else:0", "then:0"),
        node("after", "Neg", "merge:0"),
    )
    assert hidden(graph) == {"switch", "then", "else"}


def test_the_inside_of_a_loop_of_tf1_is_hidden_as_far_as_its_exit():
    graph = nodes(
        node("x", "Placeholder"),
        node("enter", "Enter", "x:0"),
        node("merge", "Merge", "enter:0", "next:0"),
        node("go", "Less", "merge:0"),
        node("switch", "Switch", "merge:0", "go:0"),
        node("exit", "Exit", "switch:0"),
        node("body", "Tanh", "switch:1"),
        node("next", "NextIteration", "body:0"),
        node("after", "Neg", "exit:0"),
    )
    assert hidden(graph) == {"enter", "merge", "go", "switch", "body", "next"}


def _function(name, *body):
    made = function_pb2.FunctionDef(node_def=body)
    made.signature.name = name
    return made


@pytest.mark.parametrize(
    ("op", "kept"),
    [
        ("ReadVariableOp", False),
        ("LookupTableFindV2", False),
        ("MatMul", False),
        ("AssignAddVariableOp", True),
        ("RandomUniform", True),
        ("Timestamp", True),
        ("EagerPyFunc", True),
        ("QueueDequeueV2", True),
    ],
)
def test_a_graph_remembers_where_an_op_of_it_or_of_what_it_calls_keeps_something(op, kept):
    called = node("y", "StatefulPartitionedCall", "x:0", f="outer")
    graph_def = graph_pb2.GraphDef(node=[node("x", "Placeholder"), called])
    graph_def.library.function.append(_function("outer", node("c", "PartitionedCall", f="inner")))
    graph_def.library.function.append(_function("inner", node("o", op)))
    assert remembers(graph_def, ["y:0"]) is kept
    assert not remembers(graph_def, ["x:0"])
    assert remembers(graph_def) is kept
    waits = graph_pb2.GraphDef(node=[node("o", op), node("y", "Neg", "x:0", "^o")])
    assert remembers(waits, ["y:0"]) is kept
