"""Numbers of rows, words or ids that a batch has, and that scores are computed with."""

from __future__ import annotations

from tensorflow.core.framework import node_def_pb2

from tfnorm.differences import epsilon
from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.graph.ops import COUNTS, SHAPES
from tfnorm.verify.inspection.opened import Opened

_SELECTING = COUNTS | {"Where", "DynamicPartition", "ListDiff"}
# What hands a number on, or computes with it.
_ARITHMETIC = frozenset(
    """
    Add AddV2 Cast ExpandDims Identity Max Maximum Min Minimum Mul Reshape Squeeze StridedSlice Sub
    """.split()  # noqa: SIM905
)


def counting(opened: Opened) -> frozenset[str]:
    """The nodes that select rows, where how many there are becomes a floating number of the scores."""
    nodes, axes = opened.graph.nodes, opened.axes
    selected: dict[str, frozenset[str]] = {}
    number: dict[str, frozenset[str]] = {}
    found: set[str] = set()
    for name, node in nodes.items():
        before = [producer(tensor) for tensor in data_inputs(node)]
        if node.op in SHAPES:
            number[name] = _union(selected, before)
            continue
        if node.op in _ARITHMETIC and (numbers := _union(number, before)):
            if axes.value(f"{name}:0") is not None:  # Of an axis whose length is known.
                continue
            number[name] = numbers
            dtype = axes.dtype(f"{name}:0")
            if name in opened.scoring and dtype is not None and epsilon(dtype):
                found |= numbers
        own = {name} if node.op in _SELECTING and not _of_constants(node, opened) else set()
        selected[name] = _union(selected, before) | own if _open(name, opened) else frozenset(own)
    return frozenset(found)


def _union(sets: dict[str, frozenset[str]], names: list[str]) -> frozenset[str]:
    return frozenset[str]().union(*(sets.get(name, frozenset()) for name in names))


def _of_constants(node: node_def_pb2.NodeDef, opened: Opened) -> bool:
    return all(opened.axes.constant(tensor) is not None for tensor in data_inputs(node))


def _open(name: str, opened: Opened) -> bool:
    """Whether the number of what an op gives isn't known, as is that of what was selected."""
    shape = opened.axes.shape(f"{name}:0")
    return shape is None or None in shape[:1]
