"""Which tensors of a graph may differ from call to call, and which of those can be fetched."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tensorflow.core.framework import graph_pb2, node_def_pb2

from tfnorm.graph.control_flow import BRANCHES, LOOPS, inner_nodes
from tfnorm.graph.nodes import data_inputs, is_header, needed, producer
from tfnorm.graph.ops import CLOCKS, SHAPES, STATE_READS, is_assignment, is_random, is_stateful

Nodes = Mapping[str, node_def_pb2.NodeDef]

_PYTHON = ("EagerPyFunc", "PyFunc")


def remembers(graph_def: graph_pb2.GraphDef, outputs: Collection[str] = ()) -> bool:
    """Whether what a call gives may depend on the calls before it, or on those beside it.

    Args:
        graph_def: the graph.
        outputs: tensors that alone count, with what they need; none for the whole graph.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    called = needed(graph_def.node, outputs) if outputs else graph_def.node
    return any(
        is_assignment(node.op) or is_random(node.op) or node.op in {*CLOCKS, *_PYTHON}
        for caller in called
        for node in (caller, *inner_nodes(caller, functions))
    )


def assigned(nodes: Nodes) -> frozenset[str]:
    """The variables and tables that a call may change, which stand outside: tensors of `nodes`."""
    return frozenset(
        variable
        for node in nodes.values()
        if is_assignment(node.op)
        or (node.op in (*LOOPS, *BRANCHES) and not node.op.startswith("Stateless"))
        for tensor in data_inputs(node)
        if producer(variable := _variable(nodes, tensor)) not in nodes
    )


def by_values(node: node_def_pb2.NodeDef) -> node_def_pb2.NodeDef:
    """A node, but one that reads shapes alone with nothing before it: no value counts there."""
    if node.op not in SHAPES | {"ZerosLike", "OnesLike"}:
        return node
    return node_def_pb2.NodeDef(name=node.name, op=node.op)


def varying(nodes: Nodes, outside: Collection[str], changed: Collection[str]) -> frozenset[str]:
    """The nodes whose tensors may differ from call to call.

    Args:
        nodes: in topological order.
        outside: nodes outside that vary, such as the inputs.
        changed: the tensors of variables outside that a call changes.
    """
    found: set[str] = set()
    for name, node in nodes.items():
        inputs = data_inputs(node)
        before = {producer(tensor) for tensor in inputs}
        draws = is_stateful(node.op) and node.op not in STATE_READS
        if draws or before & found or before.intersection(outside) or set(inputs) & set(changed):
            found.add(name)
    return frozenset(found)


def hidden(nodes: Nodes) -> frozenset[str]:
    """Nodes inside the branches and loops of TF 1, which can't be fetched."""
    back = {name for name, node in nodes.items() if node.op == "NextIteration"}
    depths: dict[str, int] = {}
    headers = set()
    for name, node in nodes.items():
        producers = [producer(tensor) for tensor in data_inputs(node)]
        depth = max((depths.get(name, 0) for name in producers), default=0)
        if is_header(node, back):
            headers.add(name)
        elif node.op in ("Merge", "Exit"):
            depth -= 1
        elif node.op == "Enter" or (node.op == "Switch" and headers.isdisjoint(producers)):
            depth += 1
        depths[name] = depth
    return frozenset(name for name, depth in depths.items() if depth > 0)


def _variable(nodes: Nodes, tensor: str) -> str:
    """The tensor of the variable itself, behind what only hands it on in TF 1."""
    while (node := nodes.get(producer(tensor))) and node.op.startswith("Ref"):
        tensor = data_inputs(node)[0]
    return tensor
