"""From moved outputs back to where the movement starts."""

import pytest
from hand_made import node, nodes

from tfnorm.graph.inline import Origin
from tfnorm.verify.culprit.region import Region
from tfnorm.verify.culprit.walk import walk_back

GRAPH = nodes(
    node("mean", "Mean", "x:0", "axis:0"),
    node("noise", "Neg", "x:0"),
    node("list", "TensorListFromTensor", "mean:0"),
    node("rows", "TensorListStack", "list:0"),
    node("loop", "StatelessWhile", "x:0"),
    node("score", "Add", "rows:0", "noise:0"),
    node("other", "Mul", "loop:0", "noise:0"),
)
COMPARED = ["mean:0", "noise:0", "rows:0", "score:0", "other:0"]


@pytest.fixture(scope="module")
def region():
    """The graph; the list and what the loop gives can't be fetched."""
    origins = {name: Origin(name, "", name) for name in GRAPH}
    return Region(
        GRAPH, origins, ["score:0", "other:0"], COMPARED, frozenset(GRAPH) | {"x"}, frozenset()
    )


def _walk(region, moved, outputs=("score:0",), inside=GRAPH):
    return walk_back(region, outputs, inside=set(inside), moved=set(moved))


def test_the_root_is_the_moved_op_whose_inputs_did_not_move(region):
    walk = _walk(region, ["score:0", "rows:0", "mean:0"])
    assert walk.roots == ["mean"]
    assert walk.path == {"score", "rows", "list", "mean"}


def test_movement_that_does_not_reach_the_outputs_is_not_followed(region):
    assert _walk(region, ["mean:0", "rows:0"]).roots == []


def test_several_roots_are_in_the_order_of_the_graph(region):
    walk = _walk(region, ["score:0", "rows:0", "mean:0", "noise:0"])
    assert walk.roots == ["mean", "noise"]


def test_what_cannot_be_compared_moved_if_its_input_did(region):
    assert _walk(region, ["score:0", "rows:0"]).roots == ["rows"]


def test_what_leaves_a_loop_and_cannot_be_compared_has_moved(region):
    assert _walk(region, ["other:0"], ["other:0"]).roots == ["loop"]


def test_nothing_outside_of_the_piece_is_passed(region):
    walk = _walk(region, ["score:0", "rows:0", "mean:0"], inside=["score", "rows"])
    assert walk.roots == ["rows"]


def test_a_loop_of_tf1_in_which_nothing_moved_does_not_accuse_itself():
    loop = nodes(
        node("enter", "Enter", "x:0"),
        node("merge", "Merge", "enter:0", "next:0"),
        node("next", "NextIteration", "merge:0"),
        node("exit", "Exit", "merge:0"),
    )
    origins = {name: Origin(name, "", name) for name in loop}
    region = Region(loop, origins, ["exit:0"], [], frozenset(loop), frozenset())
    assert walk_back(region, ["exit:0"], inside=set(loop), moved=set()).roots == []
