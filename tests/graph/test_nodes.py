"""Names and order of nodes."""

from hand_made import node

from tfnorm.graph.nodes import control_inputs, data_inputs, needed, producer, sort, tensor_name


def test_a_nodes_inputs_are_tensors_and_nodes_to_wait_for():
    add = node("add", "Add", "a:0", "b:1", "^assigned")
    assert data_inputs(add) == ["a:0", "b:1"]
    assert control_inputs(add) == ["assigned"]


def test_a_tensor_is_spelled_with_its_index():
    assert [tensor_name(t) for t in ("a", "a:0", "scope/a:2", "^a")] == [
        "a:0",
        "a:0",
        "scope/a:2",
        "^a",
    ]
    assert producer("scope/a:2") == "scope/a"


GRAPH = [
    node("score", "Add", "h:0", "bias:0"),
    node("h", "MatMul", "x:0", "w:0", "^count"),
    node("unused", "Neg", "x:0"),
    node("x", "Placeholder"),
    node("w", "Const"),
    node("bias", "Const"),
    node("count", "NoOp"),
]


def test_needed_follows_data_and_control_and_keeps_the_order_given():
    assert [n.name for n in needed(GRAPH, ["score:0"])] == ["score", "h", "x", "w", "bias", "count"]
    assert [n.name for n in needed(GRAPH, ["^unused"])] == ["unused", "x"]
    assert needed(GRAPH, ["elsewhere:0"]) == []


def test_sorted_nodes_come_after_what_they_read_and_wait_for():
    order = [n.name for n in sort(GRAPH)]
    assert sorted(order) == sorted(n.name for n in GRAPH)
    place = {name: i for i, name in enumerate(order)}
    assert place["h"] > max(place["x"], place["w"], place["count"])
    assert place["score"] > max(place["h"], place["bias"])


def test_nodes_that_are_ready_keep_the_order_given():
    ready = [node("c", "Const"), node("a", "Const"), node("b", "Const")]
    assert [n.name for n in sort(ready)] == ["c", "a", "b"]


def test_a_loop_of_tf1_is_sorted_though_it_comes_back_to_its_start():
    loop = [
        node("next", "NextIteration", "body:0"),
        node("merge", "Merge", "enter:0", "next:0"),
        node("body", "Tanh", "merge:0"),
        node("enter", "Enter", "x:0"),
        node("x", "Placeholder"),
    ]
    order = [n.name for n in sort(loop)]
    assert order == ["x", "enter", "merge", "body", "next"]
