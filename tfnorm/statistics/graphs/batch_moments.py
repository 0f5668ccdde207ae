"""Where a graph normalizes by moments of the batch, without any statistics of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.graph.ops import NORMALIZATIONS, ROOTS
from tfnorm.statistics.graphs.normalizations import CASTS, Nodes, Values

_SUMS = frozenset(("Mean", "Sum"))
_OF_MOMENTS = CASTS | {
    "Add",
    "AddV2",
    "DivNoNan",
    "ExpandDims",
    "Maximum",
    "Mul",
    "RealDiv",
    "Relu",
    "Reshape",
    "Square",
    "Squeeze",
    "Sub",
}


@dataclass(frozen=True)
class Reduction:
    """An op that makes a moment with which a graph normalizes.

    Attributes:
        node: its name.
        x: what it reduces.
        axes: those that it reduces; None where they are the batch's for certain.
    """

    node: str
    x: str
    axes: tuple[int, ...] | None


def reductions(nodes: Nodes, varying: frozenset[str], values: Values) -> Iterator[Reduction]:
    """The moments of examples that a graph takes a root of, to divide by it.

    Args:
        nodes: in topological order.
        varying: those that examples flow into.
        values: gives what tensors hold that no example flows into; None where that can't be told.
    """
    seen: set[str] = set()
    for name, node in nodes.items():
        if name not in varying:
            continue
        if node.op in NORMALIZATIONS:
            training = "is_training" not in node.attr or node.attr["is_training"].b
            if training and producer(data_inputs(node)[0]) in varying:
                yield Reduction(name, data_inputs(node)[0], None)
        elif node.op in ROOTS:
            for reduction in _reduced(nodes, varying, data_inputs(node)[0]):
                if reduction in seen:
                    continue
                seen.add(reduction)
                x, along = data_inputs(nodes[reduction])[:2]
                axes = None if producer(along) in varying else values([along])[0]
                if axes is not None:
                    yield Reduction(reduction, x, tuple(np.ravel(axes).tolist()))


def _reduced(nodes: Nodes, varying: frozenset[str], tensor: str) -> Iterator[str]:
    """The reductions that a tensor is computed from, element by element."""
    pending, seen = [producer(tensor)], set()
    while pending:
        name = pending.pop()
        if name in seen or name not in varying or name not in nodes:
            continue
        seen.add(name)
        if nodes[name].op in _SUMS:
            yield name
        elif nodes[name].op in _OF_MOMENTS:
            pending += map(producer, data_inputs(nodes[name]))
