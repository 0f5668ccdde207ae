"""Tell from an op's axes whether it lets the rows of a batch see each other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from tensorflow.core.framework import node_def_pb2

from tfnorm.graph.nodes import data_inputs
from tfnorm.graph.ops import (
    COUNTS,
    MOVES,
    NORMALIZATIONS,
    PRODUCTS,
    REDUCTIONS,
    SCANS,
    SOFTMAXES,
    SORTS,
)
from tfnorm.verify.inspection.batch_axes import BatchAxes

# Ops that take axis 0 for the batch, whatever it holds.
_ROW_WISE = ("Conv", "DepthwiseConv", "AvgPool", "MaxPool", "LRN")


def crossing(node: node_def_pb2.NodeDef, axes: BatchAxes) -> str | None:
    """What an op does across the batch axis, in a few words; None if it keeps to rows."""
    inputs = data_inputs(node)
    if node.op in NORMALIZATIONS:
        # A SavedModel leaves out what is the default: training.
        training = "is_training" not in node.attr or node.attr["is_training"].b
        return "normalizes with the batch's statistics" if training else None
    if node.op in PRODUCTS:
        return _product(node, inputs, axes)
    if not inputs or not (batch := axes.axes(inputs[0])):
        return None
    rank = len(axes.shape(inputs[0]) or ())
    if node.op in REDUCTIONS and _touches(axes.constant(inputs[1]), batch, rank):
        return "reduces over the batch axis"
    if node.op in SOFTMAXES and rank - 1 in batch:
        return "normalizes over the batch axis"
    if node.op in SORTS and rank - 1 in batch:
        return "ranks over the batch axis"
    if node.op in SCANS and _touches(axes.constant(inputs[1]), batch, rank):
        return "scans along the batch axis"
    if node.op in COUNTS and (rank == 1 or "Unique" in node.op):
        return "counts over the batch axis"
    if node.op in MOVES and _moves(node, inputs, axes, batch, rank):
        return "moves rows along the batch axis"
    if node.op.startswith(_ROW_WISE) and 0 not in batch and "Grad" not in node.op:
        return "slides along the batch axis"
    return _picks(node, inputs, axes, batch)


def _touches(chosen: np.ndarray | None, batch: Iterable[int], rank: int) -> bool:
    return chosen is not None and any(int(axis) % rank in batch for axis in np.ravel(chosen))


def _moves(
    node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes, batch: frozenset[int], rank: int
) -> bool:
    if node.op == "RandomShuffle":
        return 0 in batch
    if node.op == "ReverseSequence":
        return node.attr["seq_dim"].i in batch
    return _touches(axes.constant(inputs[-1]), batch, rank)


def _picks(
    node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes, batch: frozenset[int]
) -> str | None:
    """Slices and gathers that take the same rows of every batch."""
    if node.op == "StridedSlice":
        strides = axes.constant(inputs[3])
        plain = not any(node.attr[mask].i for mask in ("ellipsis_mask", "new_axis_mask"))
        if (
            plain
            and strides is not None
            and any(s < 0 for i, s in enumerate(strides) if i in batch)
        ):
            return "moves rows along the batch axis"
    if node.op in ("StridedSlice", "Slice"):
        output = f"{node.name}:0"
        shapes = axes.shape(output, 0), axes.shape(output, 1)
        if shapes[0] and all(shapes[0]) and shapes[0] == shapes[1]:
            return "takes fixed rows of the batch"
    if node.op in ("GatherV2", "Gather"):
        axis = axes.constant(inputs[2]) if node.op == "GatherV2" else np.asarray(0)
        rank = len(axes.shape(inputs[0]) or ())
        if _touches(axis, batch, rank) and axes.constant(inputs[1]) is not None:
            return "takes fixed rows of the batch"
    return None


def _product(node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes) -> str | None:
    if len(inputs) != 2:
        return None
    contracted, free = _labels(node, inputs, axes)
    if contracted:
        return "sums over the batch axis"
    if free > 1:
        return "multiplies rows with each other"
    return None


def _labels(node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes) -> tuple[bool, int]:
    """Whether a batch axis is summed over, and how many are in the result."""
    if node.op == "Einsum":
        return _einsum(node.attr["equation"].s.decode(), inputs, axes)
    flags = ("transpose_a", "transpose_b") if "BatchMatMul" not in node.op else ("adj_x", "adj_y")
    summed = False
    for tensor, flag, side in zip(inputs, flags, (1, 2), strict=True):
        rank = len(axes.shape(tensor) or ())
        # The first factor sums over its last axis, the second over the one before; transposed, not.
        axis = rank - side if not node.attr[flag].b else rank - (3 - side)
        summed |= axis in axes.axes(tensor)
    return summed, len(axes.axes(f"{node.name}:0"))


def _einsum(equation: str, inputs: list[str], axes: BatchAxes) -> tuple[bool, int]:
    if "." in equation or "->" not in equation:
        return False, 0
    factors, result = equation.replace(" ", "").split("->")
    batch = {
        label
        for factor, tensor in zip(factors.split(","), inputs, strict=True)
        for axis, label in enumerate(factor)
        if axis in axes.axes(tensor)
    }
    return not batch <= set(result), len(batch)
