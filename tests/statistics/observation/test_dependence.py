"""Values flow from variables to variables through every kind of op that calls a function."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tensorflow as tf

from tfnorm.statistics.observation.dependence import flows


class Cells:
    """Variables: values come from a, b and c, and go to x and y; s is kept from run to run."""

    def __init__(self):
        for name in "abcxys":
            setattr(self, name, tf.Variable(1.0))


def found(function: Callable[[Cells, tf.Tensor], object]) -> dict[str, str] | None:
    """What `flows` tells of a function, of which no sink has a source of its own name."""
    cells = Cells()

    def run(given: tf.Tensor) -> None:
        # A sink counts only where its own source is known.
        tf.identity(cells.a.read_value() + cells.b + cells.c)
        function(cells, given)

    graph = tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec([])).graph
    sinks = {"a": cells.x, "b": cells.y}
    result = flows(
        [graph],
        {name: [getattr(cells, name).handle] for name in "abc"},
        {name: [sink.handle] for name, sink in sinks.items()},
    )
    return result and {name: "".join(sorted(of)) for name, of in result.items()}


def straight(v: Cells, given: tf.Tensor) -> None:
    v.x.assign_add(given + v.b)
    v.y.assign_add(tf.stop_gradient(v.c * 0.0) + tf.square(v.c))


def nothing(v: Cells, given: tf.Tensor) -> None:
    v.x.assign_add(given)


def of_itself(v: Cells, given: tf.Tensor) -> None:
    v.x.assign_add(v.a + 1.0)


def a_call(v: Cells, given: tf.Tensor) -> None:
    inner = tf.function(lambda p, q: (p + 1.0, q * v.c), autograph=False)
    first, second = inner(given + v.a, given)
    v.x.assign_add(second)
    v.y.assign_add(first)


def written_in_a_call(v: Cells, given: tf.Tensor) -> None:
    tf.function(lambda p: v.x.assign_add(p), autograph=False)(given * v.b)


def a_branch(v: Cells, given: tf.Tensor) -> None:
    v.x.assign_add(tf.cond(given > 0, lambda: v.b + given, lambda: v.c + given))


def what_chooses_a_branch(v: Cells, given: tf.Tensor) -> None:
    v.x.assign_add(tf.cond(v.c > 0, lambda: given, lambda: 2 * given))


def what_chooses_to_write(v: Cells, given: tf.Tensor) -> None:
    tf.cond(v.b > 0, lambda: v.x.assign_add(given), lambda: v.x.read_value())


def a_case(v: Cells, given: tf.Tensor) -> None:
    v.x.assign_add(tf.switch_case(tf.cast(given, tf.int32), [lambda: v.b + 0, lambda: v.c + 0]))


def a_loop(v: Cells, given: tf.Tensor) -> None:
    """What is carried from turn to turn apart stays apart."""
    _, first, second = tf.while_loop(
        lambda i, p, q: i < 3,
        lambda i, p, q: (i + 1, p + v.b, q * 2),
        [0, given, given + v.c],
    )
    v.x.assign_add(first)
    v.y.assign_add(second)


def turns_that_feed_the_next(v: Cells, given: tf.Tensor) -> None:
    _, _, last = tf.while_loop(
        lambda i, p, q: i < 3, lambda i, p, q: (i + 1, v.b + 0.0, p + 0.0), [0, given, given]
    )
    v.x.assign_add(last)


def what_ends_a_loop(v: Cells, given: tf.Tensor) -> None:
    (last,) = tf.while_loop(lambda p: p < v.c, lambda p: (p + 1,), [given])
    v.x.assign_add(last)


def written_in_a_loop(v: Cells, given: tf.Tensor) -> None:
    """The second turn writes what the first has made."""

    def turn(i: tf.Tensor, p: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        v.x.assign_add(p)
        return i + 1, p * v.b

    tf.while_loop(lambda i, p: i < 3, turn, [0, given])


def state_that_is_kept(v: Cells, given: tf.Tensor) -> None:
    """A run writes what the one before has left in s."""
    v.x.assign_add(v.s.read_value())
    v.s.assign(given + v.b)


def a_mapped_function(v: Cells, given: tf.Tensor) -> None:
    v.x.assign_add(tf.reduce_sum(tf.map_fn(lambda p: p * v.c, tf.stack([given, given]))))


def python_in_the_middle(v: Cells, given: tf.Tensor) -> None:
    v.x.assign_add(tf.py_function(lambda p: p, [given + v.b], tf.float32))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (straight, {"a": "b", "b": "c"}),
        (nothing, {"a": ""}),
        (of_itself, {"a": "a"}),
        (a_call, {"a": "c", "b": "a"}),
        (written_in_a_call, {"a": "b"}),
        (a_branch, {"a": "bc"}),
        (what_chooses_a_branch, {"a": "c"}),
        (what_chooses_to_write, {"a": "b"}),
        (a_case, {"a": "bc"}),
        (a_loop, {"a": "b", "b": "c"}),
        (turns_that_feed_the_next, {"a": "b"}),
        (what_ends_a_loop, {"a": "c"}),
        (written_in_a_loop, {"a": "b"}),
        (state_that_is_kept, {"a": "b"}),
        (a_mapped_function, {"a": "c"}),
        (python_in_the_middle, {"a": "b"}),
        (lambda v, given: given, {}),
    ],
)
def test_values_flow_from_variables_to_variables(function, expected):
    assert found(function) == expected


def test_what_one_graph_keeps_another_reads():
    v = Cells()

    def writes(given: tf.Tensor) -> None:
        v.s.assign(given * v.b)

    def reads(given: tf.Tensor) -> None:
        v.x.assign_add(v.s + given + 0.0 * v.a)

    graphs = [
        tf.function(f, autograph=False).get_concrete_function(tf.TensorSpec([])).graph
        for f in (reads, writes)
    ]
    sources = {"a": [v.a.handle], "b": [v.b.handle]}
    assert flows(graphs, sources, {"a": [v.x.handle]}) == {"a": {"a", "b"}}
    assert flows(graphs[:1], sources, {"a": [v.x.handle]}) == {"a": {"a"}}


def test_a_sink_without_its_source_can_not_be_told():
    v = Cells()
    graph = tf.function(lambda: v.x.assign_add(1.0), autograph=False).get_concrete_function().graph
    assert flows([graph], {"a": [v.a.handle]}, {"a": [v.x.handle]}) is None


def test_a_graph_with_the_control_flow_of_tensorflow_1_can_not_be_told():
    v = Cells()
    on = tf.compat.v1.control_flow_v2_enabled()
    tf.compat.v1.disable_control_flow_v2()
    try:
        graph = tf.Graph()
        with graph.as_default():
            tf.compat.v1.while_loop(lambda i: i < 3, lambda i: i + 1, [tf.constant(0)])
    finally:
        if on:
            tf.compat.v1.enable_control_flow_v2()
    graph.inputs, graph.outputs, graph.captures = [], [], []
    assert flows([graph], {"a": [v.a.handle]}, {"a": [v.x.handle]}) is None
