"""Which layers' statistics have a part in what other layers are given, as the traced graphs have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import tensorflow as tf

from tfnorm._tensorflow import captured, function_graph
from tfnorm.graph.control_flow import BRANCHES, CALLS, LOOPS
from tfnorm.graph.ops import STATE_READS

_READS = STATE_READS | {
    "LookupTableExportV2",
    "LookupTableFindV2",
    "LookupTableSizeV2",
    "VarIsInitializedOp",
    "VariableShape",
}

_Name = TypeVar("_Name")
_Handles = Mapping[_Name, Iterable[tf.Tensor]]


@dataclass(frozen=True)
class _Flow:
    """What a tensor is made of.

    Attributes:
        of: the names of the variables whose values have a part in it.
        variables: what it may be a handle of.
    """

    of: frozenset[Any] = frozenset()
    variables: frozenset[object] = frozenset()

    def __or__(self, other: _Flow) -> _Flow:
        return _Flow(self.of | other.of, self.variables | other.variables)


def flows(
    graphs: Sequence[tf.Graph], sources: _Handles[_Name], sinks: _Handles[_Name]
) -> dict[_Name, frozenset[_Name]] | None:
    """From which variables values flow to which others, in any run of the graphs after any other.

    Args:
        graphs: of functions.
        sources: name -> the handles of the variables that values may come from.
        sinks: name -> the handles of those that they may come to.

    Returns:
        For each name whose sink a graph writes, the names of the sources whose values are in what it
        writes, or decide whether it is written; None where a graph can't be followed, or has a sink
        without the source of the same name.
    """
    found = _Followed(
        {id(handle): frozenset([name]) for name, handles in sources.items() for handle in handles}
    )
    before = None
    try:
        while found.held != before:
            before = dict(found.held)
            for graph in graphs:
                found.follow(graph)
    except LookupError:
        return None
    reached: dict[_Name, frozenset[_Name]] = {}
    for name, handles in sinks.items():
        of = [found.held[id(handle)] for handle in handles if id(handle) in found.written]
        if of:
            reached[name] = frozenset[_Name]().union(*of)
    taken = {id(outside) for graph in graphs for outside, _ in captured(graph)}
    if any(not taken & {id(handle) for handle in sources[name]} for name in reached):
        return None
    return reached


@dataclass
class _Followed:
    """Graphs, followed from their inputs on.

    Attributes:
        held: a variable -> the names of the sources whose values are in it.
        written: the variables that something was written to.
    """

    held: dict[object, frozenset[Any]]
    written: set[object] = field(default_factory=set)

    def follow(self, graph: tf.Graph) -> None:
        outside = {inside.name: id(tensor) for tensor, inside in captured(graph)}
        given = [
            _Flow(variables=frozenset([outside[tensor.name]]))
            if tensor.dtype == tf.resource and tensor.name in outside
            else _Flow()
            for tensor in graph.inputs
        ]
        self._through(graph, given, _Flow())

    def _through(self, graph: tf.Graph, given: Sequence[_Flow], decides: _Flow) -> list[_Flow]:
        """The outputs of a graph, whose running something else decides."""
        made = {tensor.name: flow for tensor, flow in zip(graph.inputs, given, strict=True)}
        for op in graph.get_operations():
            if op.outputs and op.outputs[0].name in made:
                continue
            inputs = [made[tensor.name] for tensor in op.inputs]
            outputs = self._outputs(graph, op, inputs, decides)
            made |= {t.name: flow for t, flow in zip(op.outputs, outputs, strict=True)}
        return [made[tensor.name] for tensor in graph.outputs]

    def _outputs(
        self, graph: tf.Graph, op: tf.Operation, inputs: list[_Flow], decides: _Flow
    ) -> list[_Flow]:
        def called(attribute: str) -> tf.Graph:
            return function_graph(graph, op.get_attr(attribute).name)

        if op.type in CALLS:
            return self._through(called("f"), inputs, decides)
        if op.type in BRANCHES:
            if op.type.endswith("If"):
                branches = [called("then_branch"), called("else_branch")]
            else:
                branches = [function_graph(graph, f.name) for f in op.get_attr("branches")]
            which = _Flow(inputs[0].of)
            outputs = [self._through(b, inputs[1:], decides | which) for b in branches]
            return [_joined([which, *each]) for each in zip(*outputs, strict=True)]
        if op.type in LOOPS:
            return self._turns(called("cond"), called("body"), inputs, decides)
        if op.type == "IdentityN":
            return inputs
        all_in = _joined(inputs)
        of = all_in.of.union(*(self.held.get(v, frozenset()) for v in all_in.variables))
        if op.type not in _READS:
            for variable in all_in.variables:
                self.held[variable] = of | decides.of | self.held.get(variable, frozenset())
                self.written.add(variable)
        handles = all_in.variables or frozenset([(id(graph), op.name)])
        return [_Flow(of, handles if t.dtype == tf.resource else frozenset()) for t in op.outputs]

    def _turns(
        self, condition: tf.Graph, body: tf.Graph, state: list[_Flow], decides: _Flow
    ) -> list[_Flow]:
        before = None
        while state != before:
            before = state
            (again,) = self._through(condition, state, decides)
            turned = self._through(body, state, decides | again)
            state = [_joined([old, new, again]) for old, new in zip(state, turned, strict=True)]
        return state


def _joined(flows: Iterable[_Flow]) -> _Flow:
    joined = _Flow()
    for flow in flows:
        joined |= flow
    return joined
