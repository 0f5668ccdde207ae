"""Which ops run at all, and which only under a choice."""

import numpy as np
import pytest
from hand_made import node, nodes

from tfnorm.graph.conditions import decided, heeded, live, straightened

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


def _heeded(made, name, flag=None, **values):
    constant = _constant(**{key: np.array(value) for key, value in values.items()})
    return list(heeded(made, constant, flag or constant)[name].input)


def test_of_a_select_that_is_decided_only_one_tensor_has_a_say():
    made = nodes(node("s", "SelectV2", "p:0", "x:0", "y:0"))
    assert _heeded(made, "s") == ["p:0", "x:0", "y:0"]
    assert _heeded(made, "s", p=True) == ["p:0", "x:0"]
    assert _heeded(made, "s", p=[False, False]) == ["p:0", "y:0"]
    assert _heeded(made, "s", p=[False, True]) == ["p:0", "x:0", "y:0"]


@pytest.mark.parametrize(
    ("op", "decides", "leaves"),
    [("Mul", 0.0, 1.0), ("LogicalAnd", False, True), ("LogicalOr", True, False)],
)
def test_a_flag_that_decides_leaves_the_other_side_no_say(op, decides, leaves):
    made = nodes(node("y", op, "x:0", "p:0"))
    assert _heeded(made, "y", p=decides) == ["p:0"]
    assert _heeded(made, "y", p=leaves) == ["x:0", "p:0"]
    assert _heeded(made, "y", flag=_constant(), p=decides) == ["x:0", "p:0"]


def test_of_what_is_stacked_what_is_picked_has_a_say():
    made = nodes(
        node("stack", "Pack", "a:0", "b:0"), node("one", "GatherV2", "stack:0", "i:0", "axis:0")
    )
    assert _heeded(made, "one", i=1, axis=0) == ["b:0", "i:0", "axis:0"]
    assert _heeded(made, "one", i=[-2], axis=0) == ["a:0", "i:0", "axis:0"]
    for values in ({"i": 1, "axis": 1}, {"i": [0, 1], "axis": 0}, {"i": 2, "axis": 0}, {"axis": 0}):
        assert _heeded(made, "one", **values) == ["stack:0", "i:0", "axis:0"]


@pytest.mark.parametrize(
    ("op", "inputs", "off"),
    [
        ("GreaterEqual", ("u:0", "rate:0"), 0.0),
        ("LessEqual", ("rate:0", "u:0"), 0.0),
        ("Less", ("u:0", "rate:0"), 1.0),
        ("Greater", ("rate:0", "u:0"), 1.0),
    ],
)
def test_a_draw_that_is_compared_with_a_bound_of_it_has_no_say(op, inputs, off):
    made = nodes(
        node("u", "RandomUniform", "shape:0"),
        node("x", "Placeholder"),
        node("kept", op, *inputs),
        node("other", op, *(name.replace("u", "x") for name in inputs)),
    )
    assert _heeded(made, "kept", rate=off) == ["rate:0"]
    assert _heeded(made, "kept", rate=0.5) == list(inputs)
    assert len(_heeded(made, "other", rate=off)) == 2
