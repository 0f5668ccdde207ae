"""Tell from an op's axes whether it lets the rows of a batch see each other."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from tfnorm.differences import epsilon
from tfnorm.graph.nodes import data_inputs
from tfnorm.graph.ops import (
    COUNTS,
    MOVES,
    NORMALIZATIONS,
    PRODUCTS,
    REDUCTIONS,
    SCANS,
    SHAPES,
    SOFTMAXES,
    SORTS,
)
from tfnorm.graph.row_wise import REARRANGING, keeps_to_rows
from tfnorm.verify.inspection.axes.batch_axes import BatchAxes
from tfnorm.verify.inspection.axes.picks import picks
from tfnorm.verify.inspection.axes.reach import Crossing, touches

# Ops that take axis 0 for the batch, whatever it holds.
_ROW_WISE = ("Conv", "DepthwiseConv", "AvgPool", "MaxPool", "LRN", "Resize")
_ALONG_AN_AXIS = REDUCTIONS | SCANS | {"ReverseV2", "Roll"}
_FOURIER = re.compile(r"^I?R?FFT(?:([23])D)?$")
_MATRICES = re.compile(
    r"^(Batch)?(Cholesky|Eig|Lu|Qr|SelfAdjointEig|Svd|(Log)?Matrix(Determinant|Inverse|Logarithm|Exponential"
    r"|Solve|SolveLs|SquareRoot|TriangularSolve))(V2)?$"
)
_SEGMENTS = re.compile(r"^(Unsorted)?Segment")
_FILLS = ("Pad", "PadV2")
_PADS = (*_FILLS, "MirrorPad")
_KNOWN = (
    COUNTS | MOVES | NORMALIZATIONS | PRODUCTS | REDUCTIONS | SCANS | SHAPES | SOFTMAXES | SORTS
) | REARRANGING


def crossing(node: node_def_pb2.NodeDef, axes: BatchAxes) -> Crossing | None:
    """What an op does across the batch axis; None if it keeps to rows, or sees none."""
    inputs = data_inputs(node)
    if what := _reaching(node, inputs, axes):
        dtype = axes.dtype(inputs[0])
        return Crossing(what, certain=dtype is None or bool(epsilon(dtype)))
    if node.op in SHAPES or not any(axes.axes(tensor) for tensor in inputs):
        return None
    return picks(node, inputs, axes) or _unlike(node, inputs, axes)


def _reaching(node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes) -> str | None:
    """What an op of a kind that can reach across an axis does along the batch's."""
    if node.op in NORMALIZATIONS:
        # A SavedModel leaves out what is the default: training.
        training = "is_training" not in node.attr or node.attr["is_training"].b
        return "normalizes with the batch's statistics" if training else None
    if node.op in PRODUCTS:
        return _product(node, inputs, axes)
    if not inputs or not (batch := axes.axes(inputs[0])):
        return None
    rank = len(axes.shape(inputs[0]) or ())
    if node.op in REDUCTIONS and touches(axes.constant(inputs[1]), batch, rank):
        return "reduces over the batch axis"
    if node.op in SOFTMAXES and rank - 1 in batch:
        return "normalizes over the batch axis"
    if node.op in SORTS and rank - 1 in batch:
        return "ranks over the batch axis"
    if node.op in SCANS and touches(axes.constant(inputs[1]), batch, rank):
        return "scans along the batch axis"
    if node.op in COUNTS and (rank == 1 or "Unique" in node.op):
        return "counts over the batch axis"
    if node.op in MOVES and _moves(node, inputs, axes, batch, rank):
        return "moves rows along the batch axis"
    if _SEGMENTS.search(node.op) and 0 in batch and _joins(inputs, axes):
        return "brings rows together by segment"
    if _MATRICES.search(node.op) and any(axis >= rank - 2 for axis in batch):
        return "solves for all rows together, as one matrix"
    if node.op.startswith("AdjustContrast") and any(rank - 3 <= a < rank - 1 for a in batch):
        return "takes the mean of all rows, as of one image"
    if node.op in _PADS and _pads(axes.constant(inputs[1]), batch):
        return "shifts rows along the batch axis"
    if (fourier := _FOURIER.search(node.op)) and any(
        a >= rank - int(fourier[1] or 1) for a in batch
    ):
        return "transforms along the batch axis"
    if node.op.startswith("QuantizeAndDequantize") and not _has_range(node):
        return "takes its range from all rows of the batch"
    if node.op.startswith(_ROW_WISE) and 0 not in batch and "Grad" not in node.op:
        return "slides along the batch axis"
    return None


def _unlike(node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes) -> Crossing | None:
    """What is told by the shapes that an op gives: rows that are gone, that are more, or unknown."""
    if node.op in _ALONG_AN_AXIS and axes.axes(inputs[0]) and axes.constant(inputs[1]) is None:
        return Crossing("works along an axis that is computed, maybe the batch's", certain=False)
    floating = any(epsilon(kind) for tensor in inputs if (kind := axes.dtype(tensor)) is not None)
    given = axes.given(node.name)
    if not given or all(axes.dtype(tensor) == tf.variant for tensor in given):
        if node.op == "TensorListFromTensor" and 0 in axes.axes(inputs[0]):
            return Crossing("gives the rows to a loop, which may carry something over", False)
        return None
    if any(axes.axes(tensor) for tensor in given):
        known = node.op in _KNOWN or keeps_to_rows(node.op)
        if node.op == "Reshape" and 0 in axes.axes(inputs[0]) and _in_one_row(given[0], axes):
            return Crossing("folds the whole batch into one row", certain=False)
        if node.op == "Reshape" and _interleaves(inputs[0], given[0], axes):
            return Crossing("gives rows that are made of several rows of the batch", certain=False)
        if node.op == "Squeeze" and 0 in axes.axes(inputs[0]) and _of_any_axis(node):
            return Crossing("without an axis loses the batch dimension of one example", False)
        return None if known else Crossing("does with the rows what can't be followed", False)
    first, second = ([axes.shape(tensor, which) for tensor in given] for which in range(2))
    if any(shape is None or None in shape for shape in first + second):
        known = keeps_to_rows(node.op)
        return None if known else Crossing("does with the rows what can't be followed", False)
    if node.op in _FILLS and _keeps_places(inputs, axes):
        return Crossing("fills the batch up, behind which its rows can't be followed", False)
    if first != second:
        return Crossing("adds rows to the batch, or takes some away", floating)
    return Crossing("brings the rows of the batch together", floating)


def _interleaves(before: str, after: str, axes: BatchAxes) -> bool:
    """Whether what stands before the batch's own axis is neither kept there nor folded into it."""
    old, new = _lengths(axes.shape(before)), _lengths(axes.shape(after))
    if not old or not new or not len(axes.axes(before)) == len(axes.axes(after)) == 1:
        return False
    (axis,), (other,), size = axes.axes(before), axes.axes(after), axes.sizes[0]
    if old[axis] != size:
        return False
    folded, rest = divmod(math.prod(old[:axis]), math.prod(new[:other]))
    return bool(rest or new[other] // size % folded)


def _lengths(shape: list[int | None] | None) -> list[int]:
    """A shape; empty where some length is unknown, or 0."""
    known = [length for length in shape or () if length]
    return known if shape and len(known) == len(shape) else []


def _joins(inputs: list[str], axes: BatchAxes) -> bool:
    """Whether segments have several rows of the batch, as far as it is known which are in which."""
    length, size = (axes.shape(inputs[0]) or [None])[0], axes.sizes[0]
    segments = axes.value(inputs[1])
    if segments is None or length is None or segments.shape != (length,):
        # Rows that are folded, such as all words of a batch, are brought together again by such ops.
        return length == size
    rows = np.arange(length) // (length // size)
    return any(len(np.unique(rows[segments == one])) > 1 for one in np.unique(segments))


def _has_range(node: node_def_pb2.NodeDef) -> bool:
    # A SavedModel leaves out what is the default.
    if "range_given" in node.attr:
        return bool(node.attr["range_given"].b)
    return bool(node.op == "QuantizeAndDequantizeV3")


def _of_any_axis(node: node_def_pb2.NodeDef) -> bool:
    return not node.attr["squeeze_dims"].list.i


def _in_one_row(tensor: str, axes: BatchAxes) -> bool:
    shape = axes.shape(tensor)
    return shape is not None and shape[:1] == [1]


def _pads(paddings: np.ndarray | None, batch: Iterable[int]) -> bool:
    return paddings is not None and any(paddings[axis].any() for axis in batch)


def _keeps_places(inputs: list[str], axes: BatchAxes) -> bool:
    """Whether a pad puts nothing before the rows, whatever the batch's size."""
    paddings = [axes.value(inputs[1], which) for which in range(2)]
    return not any(p is None or p[axis, 0] for p in paddings for axis in axes.axes(inputs[0]))


def _moves(
    node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes, batch: frozenset[int], rank: int
) -> bool:
    if node.op == "RandomShuffle":
        return 0 in batch
    if node.op == "ReverseSequence":
        return node.attr["seq_dim"].i in batch
    return touches(axes.constant(inputs[-1]), batch, rank)


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
