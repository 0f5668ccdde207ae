"""Which ops of a graph run at all, and which only where an input says so."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np
from tensorflow.core.framework import node_def_pb2, types_pb2

from tfnorm.graph.nodes import control_inputs, data_inputs, producer

Nodes = Mapping[str, node_def_pb2.NodeDef]
Constant = Callable[[str], np.ndarray | None]

SWITCHES = ("Switch", "RefSwitch")
SELECTS = ("Select", "SelectV2")
_MERGES = ("Merge", "RefMerge")
_ABSORBED = {"Mul": 0, "MulNoNan": 0, "LogicalAnd": False, "LogicalOr": True}
"""What decides an op whatever is beside it."""
SUMS = ("Add", "AddV2")
COMPARED = ("GreaterEqual", "Less", "LessEqual", "Greater")
_AT_LEAST = ("GreaterEqual", "LessEqual")
DRAWN = ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2")


def decided(choices: Mapping[str, str], constant: Constant) -> dict[str, int]:
    """Branching op -> the branch that it always takes, for those whose choice is a constant."""
    taken = {}
    for name, selector in choices.items():
        value = constant(selector)
        if value is not None:
            taken[name] = int(value) if value.dtype.kind in "iu" else int(not value)
    return taken


def live(nodes: Nodes, constant: Constant) -> dict[str, node_def_pb2.NodeDef]:
    """The nodes that run, each with the tensors that reach it: a constant switch of TF 1 has one way.

    Args:
        nodes: in topological order.
        constant: gives the value of a tensor; None where it isn't constant.
    """
    never: set[str] = set()
    running: dict[str, node_def_pb2.NodeDef] = {}
    for name, node in nodes.items():
        read = data_inputs(node)
        reaching = [t for t in read if t not in never and producer(t) not in never]
        ends = len(reaching) < len(read) and (node.op not in _MERGES or not reaching)
        if ends or not never.isdisjoint(control_inputs(node)):
            never.add(name)
            continue
        running[name] = node_def_pb2.NodeDef(name=name, op=node.op, input=reaching)
        if node.op in SWITCHES and (value := constant(read[1])) is not None:
            never.add(f"{name}:{0 if value else 1}")
    return running


def straightened(
    nodes: Nodes, constant: Constant, taken: Mapping[str, int]
) -> dict[str, node_def_pb2.NodeDef]:
    """The nodes that run, with nothing left of the switches, merges and selects that are decided.

    Args:
        nodes: in topological order.
        constant: gives the value of a tensor; None where it isn't constant.
        taken: select -> which of its two tensors it always gives.
    """
    running = live(nodes, constant)
    moved: dict[str, str] = {}
    straight: dict[str, node_def_pb2.NodeDef] = {}
    for name, found in running.items():
        node = node_def_pb2.NodeDef()
        node.CopyFrom(nodes[name])
        waits = [waited for waited in node.input if waited.startswith("^")]
        data = [moved.get(tensor, tensor) for tensor in found.input]
        if node.op in SWITCHES and constant(data_inputs(node)[1]) is not None:
            moved[f"{name}:1"] = f"{name}:0"
            _hand_on(node)
            data = data[:1]
        elif node.op in _MERGES and len(found.input) == 1:
            moved[f"{name}:1"] = f"{name}/value_index:0"
            place = data_inputs(node).index(found.input[0])
            straight[f"{name}/value_index"] = _number(f"{name}/value_index", place)
            _hand_on(node)
        elif node.op in SELECTS and name in taken:
            _hand_on(node)
            data = [data[1 + taken[name]]]
        del node.input[:]
        node.input.extend([*data, *waits])
        straight[name] = node
    return straight


def _hand_on(node: node_def_pb2.NodeDef) -> None:
    """Make a node one that gives its only input."""
    node.op = "Identity"
    node.attr.pop("N", None)


def _number(name: str, value: int) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = types_pb2.DT_INT32
    node.attr["value"].tensor.dtype = types_pb2.DT_INT32
    node.attr["value"].tensor.int_val.append(value)
    node.attr["value"].tensor.tensor_shape.SetInParent()
    return node


def heeded(nodes: Nodes, constant: Constant, flag: Constant) -> dict[str, node_def_pb2.NodeDef]:
    """The nodes that run, each with the tensors that have a say in what it gives.

    None has the one that a constant select leaves, the other factor of a flag that is 0, the other side of
    an `and` or `or` that a flag decides, what is stacked beside the one that is picked, or a draw that
    dropout compares with a rate of 0.

    Args:
        nodes: in topological order.
        constant: gives the value of a tensor; None where it isn't constant.
        flag: the same, but for quantities: a weight of 0 leaves a factor in.
    """
    found = {}
    for name, running in live(nodes, constant).items():
        read = list(running.input)
        if len(read) == len(data_inputs(nodes[name])):
            read = _with_a_say(nodes, nodes[name], read, constant, flag)
        found[name] = node_def_pb2.NodeDef(name=name, op=running.op, input=read)
    return found


def _with_a_say(
    nodes: Nodes, node: node_def_pb2.NodeDef, read: list[str], constant: Constant, flag: Constant
) -> list[str]:
    if node.op in SELECTS and (way := _way(constant(read[0]))) is not None:
        return [read[0], read[1 + way]]
    if node.op in _ABSORBED:
        absorbing = _ABSORBED[node.op]
        for factor in read:
            value = flag(factor)
            if value is not None and value.size and (value == absorbing).all():
                return [factor]
    if node.op in ("Gather", "GatherV2", "StridedSlice"):
        return _picked(nodes, node, read, constant)
    if node.op in COMPARED:
        drawn, bound = read if node.op in ("GreaterEqual", "Less") else read[::-1]
        value = constant(bound)
        if value is not None and (value <= 0 if node.op in _AT_LEAST else value >= 1).all():
            return [bound] if _is_drawn(nodes, drawn, constant) else read
    if node.op == "Floor" and (added := nodes.get(producer(read[0]))) and added.op in SUMS:
        # Dropout as it was in TensorFlow before 1.13: the probability to keep, and a draw below 1.
        for kept, drawn in itertools.permutations(data_inputs(added)):
            value = constant(kept)
            whole = value is not None and (value == np.floor(value)).all()
            if whole and _is_drawn(nodes, drawn, constant):
                return [kept]
    return read


def _way(chosen: np.ndarray | None) -> int | None:
    """Which of two tensors a select gives, if it is one of them throughout."""
    if chosen is None or not chosen.size or chosen.any() != chosen.all():
        return None
    return int(not chosen.all())


def _picked(
    nodes: Nodes, node: node_def_pb2.NodeDef, read: list[str], constant: Constant
) -> list[str]:
    """What an op reads that picks one of several tensors that were stacked."""
    stack, place = nodes.get(producer(read[0])), constant(read[1])
    if stack is None or stack.op != "Pack" or place is None:
        return read
    if node.op == "StridedSlice" and not node.attr["shrink_axis_mask"].i & 1:
        return read
    parts = data_inputs(stack)
    first = np.ravel(place)[:1] if node.op == "StridedSlice" else np.ravel(place)
    axis = constant(read[2]) if node.op == "GatherV2" else np.zeros(())
    if (
        first.size != 1
        or axis is None
        or axis != stack.attr["axis"].i
        or not -len(parts) <= first[0] < len(parts)
    ):
        return read
    return [parts[int(first[0])], *read[1:]]


def _is_drawn(nodes: Nodes, tensor: str, constant: Constant) -> bool:
    """Whether a tensor is drawn evenly from 0 to 1, 1 left out."""
    node = nodes.get(producer(tensor))
    while node is not None and node.op in (*SUMS, "Mul"):
        neutral = 1 if node.op == "Mul" else 0
        values = [(other, constant(other)) for other in data_inputs(node)]
        others = [t for t, value in values if value is None or (value != neutral).any()]
        if len(others) != 1:
            return False
        node = nodes.get(producer(others[0]))
    return node is not None and node.op in DRAWN
