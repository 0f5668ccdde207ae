"""Names of tensors and nodes, and the order of the nodes of a graph."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tfnorm._tensorflow import import_graph


def data_inputs(node: node_def_pb2.NodeDef) -> list[str]:
    """The tensors that a node reads."""
    return [name for name in node.input if not name.startswith("^")]


def control_inputs(node: node_def_pb2.NodeDef) -> list[str]:
    """The nodes that a node waits for."""
    return [name[1:] for name in node.input if name.startswith("^")]


def tensor_name(name: str) -> str:
    """A tensor spelled `node:index`, which a graph may leave as `node`; `^node` stays."""
    return name if name.startswith("^") or ":" in name else f"{name}:0"


def producer(tensor: str) -> str:
    """The node that gives a tensor."""
    return tensor.rpartition(":")[0]


def is_header(node: node_def_pb2.NodeDef, back: Collection[str]) -> bool:
    """Whether a node gives what a loop of TF 1 begins with, and then what a turn hands to the next.

    Args:
        node: the node.
        back: the names of all `NextIteration`.
    """
    return node.op == "Merge" and any(producer(tensor) in back for tensor in data_inputs(node))


def needed(
    nodes: Iterable[node_def_pb2.NodeDef], targets: Iterable[str]
) -> list[node_def_pb2.NodeDef]:
    """The nodes that `targets` (`node:index` or `^node`) can't do without, in the order given."""
    by_name = {node.name: node for node in nodes}
    pending = [target[1:] if target[0] == "^" else producer(target) for target in targets]
    found = set()
    while pending:
        name = pending.pop()
        if name in by_name and name not in found:
            found.add(name)
            pending += _producers(by_name[name])
    return [node for name, node in by_name.items() if name in found]


def sort(nodes: Iterable[node_def_pb2.NodeDef]) -> list[node_def_pb2.NodeDef]:
    """Topological order; among nodes that are ready, the order given."""
    nodes = list(nodes)
    place = {node.name: i for i, node in enumerate(nodes)}
    consumers: list[list[int]] = [[] for _ in nodes]
    missing = [0] * len(nodes)
    # A TF 1 loop comes back through NextIteration.
    back = {node.name for node in nodes if node.op == "NextIteration"}
    for i, node in enumerate(nodes):
        for name in _producers(node):
            if name in place and name not in back:
                consumers[place[name]].append(i)
                missing[i] += 1
    ready = [i for i, count in enumerate(missing) if not count]
    ordered = []
    while ready:
        i = heapq.heappop(ready)
        ordered.append(nodes[i])
        for consumer in consumers[i]:
            missing[consumer] -= 1
            if not missing[consumer]:
                heapq.heappush(ready, consumer)
    return ordered


def add_nodes(nodes: Iterable[node_def_pb2.NodeDef], graph: tf.Graph) -> None:
    """Add nodes to a graph under the names that they have; they may read what is in it."""
    graph_def = graph_pb2.GraphDef(node=nodes)
    added = {node.name for node in graph_def.node}
    read = {tensor for node in graph_def.node for tensor in data_inputs(node)}
    waited_for = {name for node in graph_def.node for name in control_inputs(node)}
    import_graph(
        graph_def,
        graph,
        reads=[tensor for tensor in read if producer(tensor) not in added],
        waits=waited_for - added,
    )


def _producers(node: node_def_pb2.NodeDef) -> list[str]:
    return [*map(producer, data_inputs(node)), *control_inputs(node)]
