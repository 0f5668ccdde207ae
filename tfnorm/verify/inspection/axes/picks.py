"""Slices and gathers: whether each row of the batch stays where it is."""

from __future__ import annotations

import numpy as np
from tensorflow.core.framework import node_def_pb2

from tfnorm.differences import epsilon
from tfnorm.verify.inspection.axes.batch_axes import BatchAxes
from tfnorm.verify.inspection.axes.reach import Crossing, touches

_FIXED = Crossing("takes fixed rows of the batch", certain=False)
_COMPUTED = Crossing("picks rows of the batch by numbers that are computed", certain=False)
# Ops that hand numbers on in another form.
_HANDING_ON = ("Cast", "ExpandDims", "Identity", "Reshape")


def picks(node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes) -> Crossing | None:
    """What a slice or a gather does to the rows; None if it leaves them, and for all other ops."""
    batch = axes.axes(inputs[0])
    if not batch:
        return None
    if node.op in ("StridedSlice", "Slice"):
        return _sliced(node, inputs, axes, batch)
    if node.op in ("Gather", "GatherV2"):
        axis = axes.constant(inputs[2]) if node.op == "GatherV2" else np.asarray(0)
        if touches(axis, batch, len(axes.shape(inputs[0]) or ())):
            return _numbered([axes.value(inputs[1], which) for which in range(2)], inputs[0], axes)
    if node.op == "GatherNd":
        depth = (axes.shape(inputs[1]) or [None])[-1]
        columns = [axis for axis in batch if depth is not None and axis < depth]
        if columns:
            numbers = [_column(inputs[1], columns[0], axes, which) for which in range(2)]
            return _numbered(numbers, inputs[0], axes)
    return None


def _sliced(
    node: node_def_pb2.NodeDef, inputs: list[str], axes: BatchAxes, batch: frozenset[int]
) -> Crossing | None:
    if node.op == "StridedSlice":
        strides = axes.constant(inputs[3])
        plain = not any(node.attr[mask].i for mask in ("ellipsis_mask", "new_axis_mask"))
        if (
            plain
            and strides is not None
            and any(s < 0 and i in batch for i, s in enumerate(strides))
        ):
            return Crossing("moves rows along the batch axis", _floating(inputs[0], axes))
    shapes = [axes.shape(f"{node.name}:0", which) for which in range(2)]
    if shapes[0] is not None and None not in shapes[0] and shapes[0] == shapes[1]:
        return _FIXED
    return None


def _numbered(numbers: list[np.ndarray | None], rows: str, axes: BatchAxes) -> Crossing | None:
    """What picking rows by these numbers does, which are given for each of the two batch sizes."""
    first, second = numbers
    if first is None or second is None:
        return _COMPUTED
    if all(
        np.array_equal(np.ravel(picked), np.arange(size))
        for picked, size in zip((first, second), axes.sizes, strict=True)
    ):
        return None
    if np.array_equal(first, second):
        return _FIXED
    return Crossing("takes rows by their place in the batch", _floating(rows, axes))


def _column(indices: str, column: int, axes: BatchAxes, which: int) -> np.ndarray | None:
    """The numbers in one column of a table of indices, also where other columns aren't known."""
    table = axes.value(indices, which)
    if table is not None:
        return table[..., column]
    made = axes.operation(indices)
    while made is not None and made.type in _HANDING_ON:
        made = made.inputs[0].op
    if made is None or made.type not in ("Pack", "ConcatV2"):
        return None
    parts = list(made.inputs)[: -1 if made.type == "ConcatV2" else None]
    # A column is one part only where each part is one column.
    width = 1 if made.type == "Pack" else parts[0].shape[-1]
    return axes.value(parts[column].name, which) if width == 1 and column < len(parts) else None


def _floating(tensor: str, axes: BatchAxes) -> bool:
    dtype = axes.dtype(tensor)
    return dtype is None or bool(epsilon(dtype))
