"""Which ops of a graph run at all, and which only where an input says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from tensorflow.core.framework import node_def_pb2, types_pb2

from tfnorm.graph.nodes import control_inputs, data_inputs, producer

Nodes = Mapping[str, node_def_pb2.NodeDef]
Constant = Callable[[str], np.ndarray | None]
Label = tuple[str, int]

SWITCHES = ("Switch", "RefSwitch")
SELECTS = ("Select", "SelectV2")
_MERGES = ("Merge", "RefMerge")


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


def conditions(nodes: Nodes, choices: Mapping[str, str]) -> dict[str, frozenset[Label]]:
    """For each node, the choices that it runs under: (the tensor that chooses, the branch)."""
    labels: dict[str, frozenset[Label]] = {}

    def of(tensor: str) -> frozenset[Label]:
        name = producer(tensor)
        node = nodes.get(name)
        if node is not None and node.op in SWITCHES:
            return labels.get(name, frozenset()) | {(data_inputs(node)[1], int(tensor[-1]))}
        return labels.get(name, frozenset())

    for name, node in nodes.items():
        read = [of(tensor) for tensor in data_inputs(node)]
        if node.op in _MERGES:
            labels[name] = frozenset.intersection(*read) if read else frozenset()
            continue
        waits = [labels.get(waited, frozenset()) for waited in control_inputs(node)]
        labels[name] = frozenset().union(*read, *waits)
    for name, selector in choices.items():
        for inside in nodes:
            if inside.startswith(f"{name}/"):
                branch = inside.removeprefix(f"{name}/").partition("/")[0]
                if branch.isdecimal():
                    labels[inside] |= {(selector, int(branch))}
    return labels
