"""The graph behind a signature, its function calls written out in place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2

from tfnorm._tensorflow import COLOCATED, INFERRED_SHAPES, TAKEN_APART, op_definition
from tfnorm.graph.control_flow import BRANCHES, CALLS, LOOPS, branches, loop_body, loop_condition
from tfnorm.graph.nodes import control_inputs, data_inputs, needed, producer, sort, tensor_name
from tfnorm.graph.ops import STATE_READS, is_stateful

_READS = STATE_READS | {"VarHandleOp"}
_CALL_SCOPE = re.compile(r"^(Stateful)?PartitionedCall(_\d+)?$")


class BrokenGraph(ValueError):
    """A graph refers to what it doesn't have, or calls itself."""


@dataclass(frozen=True)
class Origin:
    """Where an op stood before its function was written out; `name` is the one to show."""

    name: str
    function: str
    node: str


@dataclass
class Inlined:
    """Nodes in topological order; their inputs are spelled `node:index` and `^node`.

    `outputs` are tensors, `effects` the nodes that a call must run besides. `decisions` are the tensors
    that choose branches and end loops, and what the branches not written to `outputs` give. `choices`
    has, for each branching op, the tensor that chooses; its branches, where they are written out, are the
    nodes whose names begin with the op's and the branch's number: `op/0/`. `carried` are the nodes that
    stand for what a loop that is written out hands from turn to turn: they give what it begins with.
    """

    nodes: dict[str, node_def_pb2.NodeDef] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)
    carried: set[str] = field(default_factory=set)

    def hand_on(self, tensor: str, name: str, kind: int, origin: Origin) -> str:
        """The tensor of a new node that gives what another does."""
        node = self.nodes[name] = node_def_pb2.NodeDef(name=name, op="Identity", input=[tensor])
        node.attr["T"].type = kind
        self.origins[name] = origin
        return f"{name}:0"


@dataclass(frozen=True)
class _Body:
    nodes: list[node_def_pb2.NodeDef]
    arguments: list[str]
    outputs: list[str]
    effects: list[str]


@dataclass(frozen=True)
class _Place:
    """Where a body is written to: the prefix of its nodes' names, and who called it."""

    prefix: str
    function: str = ""
    caller: str = ""
    around: frozenset[str] = frozenset()

    def inside(self, prefix: str, function: str, caller: str) -> _Place:
        """The place of a function called from here."""
        around = self.around | {self.function}
        if function in around:
            raise BrokenGraph(f"function {function} calls itself")
        return _Place(prefix, function, caller, around)


class Inliner:
    """Writes out the function calls of a graph.

    Args:
        graph_def: the graph and its function library.
        control_flow: write out `If`, `Case` and `While` too: every branch, and a loop's condition and
            body once. That keeps all ops and shapes, and not what the graph computes.
        taken: for branching ops, by the name in `Inlined.choices`, the branch that is always taken: that
            one alone is written out, whatever `control_flow` says.
    """

    def __init__(
        self,
        graph_def: graph_pb2.GraphDef,
        *,
        control_flow: bool = False,
        taken: Mapping[str, int] | None = None,
    ):
        self._nodes = [_copy(node, map(tensor_name, node.input)) for node in graph_def.node]
        self._functions = {f.signature.name: f for f in graph_def.library.function}
        self._control_flow = control_flow
        self._taken = taken or {}
        self._bodies: dict[str, _Body] = {}

    def graph(
        self, outputs: Sequence[str], *, prefix: str = "", keep: frozenset[str] = frozenset()
    ) -> Inlined:
        """What `outputs` need; nodes named in `keep` stay where they are, outside.

        Raises:
            BrokenGraph: the graph refers to a node or a function that it doesn't have, or a function
                calls itself.
        """
        outputs = [tensor_name(output) for output in outputs]
        names = {node.name for node in self._nodes}
        read = [tensor for node in self._nodes for tensor in data_inputs(node)]
        if missing := [tensor for tensor in [*outputs, *read] if producer(tensor) not in names]:
            raise BrokenGraph(f"{missing[0]!r} is not in it")
        nodes = [node for node in needed(self._nodes, outputs) if node.name not in keep]
        kept = {name: name for name in keep}
        return self._write(_Body(nodes, [], outputs, []), _Place(prefix), outside=kept)

    def function(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        prefix: str,
        caller: str,
        control: Sequence[str] = (),
    ) -> Inlined:
        """The body of a function, its arguments bound to tensors outside."""
        place = _Place(prefix, name, caller)
        return self._write(self._body(name), place, arguments=arguments, control=control)

    def _write(
        self,
        body: _Body,
        place: _Place,
        *,
        arguments: Sequence[str] = (),
        control: Sequence[str] = (),
        outside: dict[str, str] | None = None,
    ) -> Inlined:
        written = Inlined()
        outputs, _ = self._expand(
            body, place, written, arguments=arguments, control=control, outside=outside
        )
        roots = [*outputs, *written.decisions, *(f"^{effect}" for effect in written.effects)]
        live = needed(written.nodes.values(), roots)
        nodes = {node.name: node for node in sort(live)}
        return Inlined(
            nodes,
            {name: written.origins[name] for name in nodes},
            outputs,
            list(dict.fromkeys(written.effects)),
            written.decisions,
            written.choices,
            written.carried & nodes.keys(),
        )

    def _expand(
        self,
        body: _Body,
        place: _Place,
        into: Inlined,
        *,
        arguments: Sequence[str] = (),
        control: Sequence[str] = (),
        outside: dict[str, str] | None = None,
    ) -> tuple[list[str], list[str]]:
        """Add a body's nodes; return its outputs, and the nodes that end it."""
        outside = outside or {}
        tensors = dict(zip((f"{name}:0" for name in body.arguments), arguments, strict=True))
        controls = {**{name: [] for name in body.arguments}, **{k: [k] for k in outside}}

        def resolve(tensor: str) -> str:
            if tensor in tensors:
                return tensors[tensor]
            name, _, index = tensor.rpartition(":")
            return tensor if name in outside else f"{place.prefix}{name}:{index}"

        for node in sort(body.nodes):
            data = [resolve(name) for name in data_inputs(node)]
            waits = [w for name in control_inputs(node) for w in controls[name]]
            readable = _readable(place.caller, node.name)
            origin = Origin(readable, place.function, node.name)
            if self._control_flow and node.op in LOOPS:
                data = self._handed_on(node, data, place.prefix, origin, into)
            called = self._called(node, data)
            if node.op in BRANCHES:
                choice = f"{place.prefix}{node.name}"
                into.choices[choice] = data[0]
                if (number := self._taken.get(choice)) is not None:
                    ways = _ways(node, data)
                    # As TensorFlow does, the last one for any other number.
                    called = [ways[number if 0 <= number < len(ways) else -1]]
            if called or is_stateful(node.op):
                # Only what has state can tell whether it ran before what its caller waits for.
                waits += control
            waits = list(dict.fromkeys(waits))
            if not called:
                name = f"{place.prefix}{node.name}"
                into.nodes[name] = _copy(node, [*data, *(f"^{w}" for w in waits)], name)
                into.origins[name] = origin
                controls[node.name] = [name]
                continue
            done: list[str] = []
            for position, function, values in called:
                inside = f"{place.prefix}{node.name}/{position}/"
                outputs, ends = self._expand(
                    self._body(function),
                    place.inside(inside, function, readable),
                    into,
                    arguments=values,
                    control=waits,
                )
                if node.op in BRANCHES:
                    # What a branch gives stands in it, also where it is what the branch was given.
                    kinds = node.attr["Tout"].list.type
                    outputs = [
                        t
                        if t.startswith(inside)
                        else into.hand_on(t, f"{inside}given/{i}", kind, origin)
                        for i, (t, kind) in enumerate(zip(outputs, kinds, strict=True))
                    ]
                if position == called[0][0]:
                    tensors |= {f"{node.name}:{i}": value for i, value in enumerate(outputs)}
                else:
                    into.decisions += outputs
                done += ends
            if node.op in BRANCHES:
                into.decisions.append(data[0])
            controls[node.name] = done or waits
        ends = list(dict.fromkeys(end for name in body.effects for end in controls[name]))
        into.effects += [e for e in ends if e in into.nodes and into.nodes[e].op not in _READS]
        return [resolve(name) for name in body.outputs], ends

    def _handed_on(
        self,
        node: node_def_pb2.NodeDef,
        data: list[str],
        prefix: str,
        origin: Origin,
        into: Inlined,
    ) -> list[str]:
        """What a loop is given, with a node of its own for all that a turn changes."""
        body, kinds = self._body(loop_body(node)), node.attr["T"].list.type
        made = {made.name: made for made in body.nodes}
        handed = list(data)
        for i, (argument, given) in enumerate(zip(body.arguments, body.outputs, strict=True)):
            while (before := made.get(producer(given))) is not None and before.op == "Identity":
                given = data_inputs(before)[0]
            if given != f"{argument}:0":
                name = f"{prefix}{node.name}/carried/{i}"
                handed[i] = into.hand_on(data[i], name, kinds[i], origin)
                into.carried.add(name)
        return handed

    def _called(
        self, node: node_def_pb2.NodeDef, data: list[str]
    ) -> list[tuple[int, str, list[str]]]:
        """The functions to write in a node's place, numbered, first the one that gives its outputs."""
        if node.op in CALLS:
            return [(0, node.attr["f"].func.name, data)]
        if node.op in self._functions:
            return [(0, node.op, data)]
        if self._control_flow and node.op in LOOPS:
            return [(0, loop_body(node), data), (1, loop_condition(node), data)]
        if self._control_flow and node.op in BRANCHES:
            return _ways(node, data)
        return []

    def _body(self, name: str) -> _Body:
        if name not in self._functions:
            raise BrokenGraph(f"function {name!r} is not in it")
        if name not in self._bodies:
            self._bodies[name] = self._flatten(self._functions[name])
        return self._bodies[name]

    def _flatten(self, function: function_pb2.FunctionDef) -> _Body:
        """Spell a function's tensors, `node:output:index`, as a graph's, `node:index`."""
        offsets = {node.name: self._offsets(node) for node in function.node_def}

        def flat(tensor: str) -> str:
            if tensor.startswith("^") or ":" not in tensor:
                return tensor_name(tensor)
            name, output, index = tensor.split(":")
            if name not in offsets:
                raise BrokenGraph(f"{tensor!r} is not in it")
            return f"{name}:{offsets[name].get(output, 0) + int(index)}"

        return _Body(
            [_copy(node, map(flat, node.input)) for node in function.node_def],
            [argument.name for argument in function.signature.input_arg],
            [flat(function.ret[output.name]) for output in function.signature.output_arg],
            list(function.control_ret.values()),
        )

    def _offsets(self, node: node_def_pb2.NodeDef) -> dict[str, int]:
        """The number of the first tensor of each named output; nothing for an unknown op."""
        definition = op_definition(node.op)
        if node.op in self._functions:
            definition = self._functions[node.op].signature
        offsets, offset = {}, 0
        for output in definition.output_arg if definition else ():
            offsets[output.name] = offset
            if output.number_attr:
                offset += node.attr[output.number_attr].i
            elif output.type_list_attr:
                offset += len(node.attr[output.type_list_attr].list.type)
            else:
                offset += 1
        return offsets


def _ways(node: node_def_pb2.NodeDef, data: list[str]) -> list[tuple[int, str, list[str]]]:
    """The branches of a node, numbered, and what each is given."""
    return [(i, function, data[1:]) for i, function in enumerate(branches(node))]


def _copy(
    node: node_def_pb2.NodeDef, inputs: Iterable[str], name: str | None = None
) -> node_def_pb2.NodeDef:
    copied = node_def_pb2.NodeDef()
    copied.CopyFrom(node)
    copied.name = name or node.name
    copied.device = ""
    del copied.input[:]
    copied.input.extend(inputs)
    # The first two speak of the graph that the node came from. The third would have the session take
    # a branch or a loop apart, past whatever is fed in place of its outputs.
    for attribute in (COLOCATED, INFERRED_SHAPES, TAKEN_APART):
        copied.attr.pop(attribute, None)
    return copied


def _readable(caller: str, name: str) -> str:
    """A node's name under its caller's, without the calls in between."""
    caller = "/".join(part for part in caller.split("/") if not _CALL_SCOPE.match(part))
    if not caller or name == caller or name.startswith(f"{caller}/"):
        return name
    return f"{caller}/{name}"
