"""Which ops run at all, and which only under a choice."""

import numpy as np
from hand_made import node, nodes

from tfnorm.graph.conditions import conditions, decided, live, straightened

SWITCHED = nodes(
    node("x", "Placeholder"),
    node("p", "Const"),
    node("switch", "Switch", "x:0", "p:0"),
    node("pivot", "Identity", "switch:1"),
    node("constant", "Const", "^pivot"),
    node("then", "Mul", "switch:1", "constant:0"),
    node("else", "Neg", "switch:0"),
    node("merge", "Merge", "else:0", "then:0"),
    node("after", "Tanh", "merge:0", "^x"),
)


def _constant(**values):
    return lambda tensor: values.get(tensor.removesuffix(":0"))


def test_a_constant_switch_leaves_one_way():
    off = live(SWITCHED, _constant(p=np.array(False)))
    assert set(off) == {"x", "p", "switch", "else", "merge", "after"}
    assert list(off["merge"].input) == ["else:0"]
    on = live(SWITCHED, _constant(p=np.array(True)))
    assert "else" not in on and {"then", "constant"} <= set(on)
    assert list(on["merge"].input) == ["then:0"]


def test_a_switch_that_is_not_constant_leaves_both_ways():
    running = live(SWITCHED, _constant())
    assert set(running) == set(SWITCHED)
    assert list(running["after"].input) == ["merge:0"]


def test_ops_run_under_the_switch_that_they_stand_behind_as_far_as_its_merge():
    labels = conditions(SWITCHED, {})
    assert labels["then"] == labels["constant"] == {("p:0", 1)}
    assert labels["else"] == {("p:0", 0)}
    assert not labels["merge"] and not labels["after"] and not labels["x"]


def test_ops_written_out_of_a_branch_run_under_its_choice_and_those_of_the_branches_inside_it():
    graph = nodes(
        node("p", "Const"),
        node("if/0/a", "Neg"),
        node("if/1/b", "Neg"),
        node("if/0/case/2/c", "Neg"),
        node("iffy/0/d", "Neg"),
    )
    labels = conditions(graph, {"if": "p:0", "if/0/case": "q:0"})
    assert labels["if/0/a"] == {("p:0", 0)}
    assert labels["if/1/b"] == {("p:0", 1)}
    assert labels["if/0/case/2/c"] == {("p:0", 0), ("q:0", 2)}
    assert not labels["iffy/0/d"] and not labels["p"]


def test_the_branch_of_a_constant_choice_is_decided():
    values = _constant(p=np.array(True), q=np.array(False), i=np.array(2), f=np.array(0.0))
    choices = {"if": "p:0", "unless": "q:0", "case": "i:0", "float": "f:0", "open": "x:0"}
    assert decided(choices, values) == {"if": 0, "unless": 1, "case": 2, "float": 1}


def test_what_is_decided_is_handed_on_and_nothing_else_stays_of_it():
    graph = nodes(
        *(each for name, each in SWITCHED.items() if name != "after"),
        node("after", "Tanh", "merge:0", "^x"),
        node("which", "Neg", "merge:1"),
    )
    on = straightened(graph, _constant(p=np.array(True)), {})
    assert {on["switch"].op, on["merge"].op} == {"Identity"}
    assert list(on["switch"].input) == ["x:0"]
    assert list(on["then"].input) == ["switch:0", "constant:0"]
    assert list(on["merge"].input) == ["then:0"]
    assert list(on["after"].input) == ["merge:0", "^x"]
    assert list(on["which"].input) == ["merge/value_index:0"]
    assert list(on["merge/value_index"].attr["value"].tensor.int_val) == [1]
    assert "else" not in on


def test_a_switch_that_is_not_decided_stays():
    assert straightened(SWITCHED, _constant(), {}) == SWITCHED


def test_a_select_that_is_decided_gives_one_of_its_tensors_and_another_stays():
    graph = nodes(
        *(node(name, "Placeholder") for name in "pxy"),
        node("first", "Select", "p:0", "x:0", "y:0", "^y"),
        node("second", "SelectV2", "p:0", "x:0", "y:0"),
        node("open", "SelectV2", "p:0", "x:0", "y:0"),
    )
    found = straightened(graph, _constant(), {"first": 0, "second": 1})
    assert (found["first"].op, list(found["first"].input)) == ("Identity", ["x:0", "^y"])
    assert (found["second"].op, list(found["second"].input)) == ("Identity", ["y:0"])
    assert found["open"] == graph["open"]
