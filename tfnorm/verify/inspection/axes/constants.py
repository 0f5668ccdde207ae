"""The values in a graph that no example changes: those of constants and of shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from tfnorm._tensorflow import op_definition
from tfnorm.graph.nodes import producer
from tfnorm.graph.ops import SHAPES

# Axes, sizes and flags are small; weights are none of them.
_MOST_VALUES = 4096
# Ops that repeat a value as often as a shape says, and which input it is.
_REPEATING = {"Fill": 1, "BroadcastTo": 0, "Tile": 0, "Reshape": 0}
_CONTROL_FLOW = frozenset(
    ("Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "RefSwitch", "RefMerge")
)


@dataclass(frozen=True)
class Folded:
    """The values that were found.

    Args:
        values: tensor -> value.
        constant: the tensors among them that no shape has a part in, but for how often they have a value.
    """

    values: dict[str, np.ndarray]
    constant: frozenset[str]


def fold(
    graph: tf.Graph,
    carried: Collection[str] = (),
    fed: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Folded:
    """Find all values that follow from constants and from shapes that are known.

    Args:
        graph: with the shapes that TensorFlow inferred; its inputs are placeholders.
        carried: the ops that give what a loop begins with, which each turn changes: no constants.
        fed: what inputs hold, tensor by tensor, which are taken for constants.
    """
    shapes: dict[tf.Tensor, np.ndarray] = {}
    followed: dict[str, tf.Operation] = {}
    constant: set[str] = set()
    depending = {producer(tensor) for tensor in fed}
    for operation in graph.get_operations():
        before = {tensor.op.name for tensor in operation.inputs}
        if operation.name in depending:
            (tensor,) = operation.outputs
            shapes[tensor] = fed[tensor.name]
            constant.add(operation.name)
        elif operation.type in SHAPES:
            shapes |= _measured(operation)
        elif (picked := _picked(operation)) is not None:
            shapes[operation.outputs[0]] = picked
        elif (
            operation.type in ("ZerosLike", "OnesLike")
            and _small(operation)
            and _is_plain(operation)
        ):
            (tensor,) = operation.outputs
            made = np.zeros if operation.type == "ZerosLike" else np.ones
            shapes[tensor] = made(tensor.shape.as_list(), tensor.dtype.as_numpy_dtype)
            constant.add(operation.name)
        # What is fed may have a shape that isn't known before.
        elif (
            _foldable(operation)
            and (_small(operation) or not depending.isdisjoint(before))
            and all(tensor in shapes or tensor.op.name in followed for tensor in operation.inputs)
        ):
            followed[operation.name] = operation
            if operation.type in _REPEATING:
                before = {operation.inputs[_REPEATING[operation.type]].op.name}
            if before <= constant and operation.name not in carried:
                constant.add(operation.name)
            if not depending.isdisjoint(before):
                depending.add(operation.name)
    values = {tensor.name: value for tensor, value in shapes.items()}
    values |= _values(graph, shapes, followed)
    return Folded(values, frozenset(t for t in values if producer(t) in constant))


def _measured(operation: tf.Operation) -> dict[tf.Tensor, np.ndarray]:
    """What an op gives that reads shapes alone, as far as they are known."""
    known = {}
    for tensor, given in zip(operation.inputs, operation.outputs, strict=False):
        kind = given.dtype.as_numpy_dtype
        if operation.type == "Rank" and tensor.shape.rank is not None:
            known[given] = np.asarray(tensor.shape.rank, kind)
        elif operation.type == "Size" and tensor.shape.is_fully_defined():
            known[given] = np.asarray(tensor.shape.num_elements(), kind)
        elif operation.type in ("Shape", "ShapeN") and tensor.shape.is_fully_defined():
            known[given] = np.asarray(tensor.shape.as_list(), kind)
    return known


def _picked(operation: tf.Operation) -> np.ndarray | None:
    """What a slice takes of a shape that is not known as a whole, if it is known there."""
    if operation.type != "StridedSlice" or operation.inputs[0].op.type != "Shape":
        return None
    shape = operation.inputs[0].op.inputs[0].shape
    begin, end, strides = map(tf.get_static_value, operation.inputs[1:])
    new = operation.get_attr("ellipsis_mask") | operation.get_attr("new_axis_mask")
    if new or shape.rank is None or any(v is None or len(v) != 1 for v in (begin, end, strides)):
        return None
    sizes = np.array(
        [-1 if n is None else n for n in shape], operation.outputs[0].dtype.as_numpy_dtype
    )
    if operation.get_attr("shrink_axis_mask"):
        found = sizes[begin[0] :][:1].reshape(()) if -shape.rank <= begin[0] < shape.rank else None
    else:
        first = None if operation.get_attr("begin_mask") else begin[0]
        last = None if operation.get_attr("end_mask") else end[0]
        found = sizes[first : last : strides[0]]
    return None if found is None or np.any(found < 0) else np.asarray(found)


def _foldable(operation: tf.Operation) -> bool:
    definition = op_definition(operation.type)
    if definition is None or definition.is_stateful or operation.type in _CONTROL_FLOW:
        return False
    if not operation.outputs or not (operation.inputs or operation.type == "Const"):
        return False
    if any(attribute.type in ("func", "list(func)") for attribute in definition.attr):
        return False
    return _is_plain(operation)


def _is_plain(operation: tf.Operation) -> bool:
    return all(given.dtype not in (tf.resource, tf.variant) for given in operation.outputs)


def _small(operation: tf.Operation) -> bool:
    """Whether it is known that an op gives few values."""
    return all(
        given.shape.is_fully_defined() and given.shape.num_elements() <= _MOST_VALUES
        for given in operation.outputs
    )


def _values(
    graph: tf.Graph,
    shapes: Mapping[tf.Tensor, np.ndarray],
    followed: Mapping[str, tf.Operation],
) -> dict[str, np.ndarray]:
    """The values of the ops `followed`, but for those that refuse theirs and what reads them."""
    config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
    wanted = dict(followed)
    with tf.compat.v1.Session(graph=graph, config=config) as session:
        while wanted:
            tensors = [given for operation in wanted.values() for given in operation.outputs]
            try:
                values = session.run(tensors, dict(shapes))
            except tf.errors.OpError as error:
                refused = {error.op.name} if error.op is not None else set(wanted)
                for name, operation in wanted.items():
                    if any(tensor.op.name in refused for tensor in operation.inputs):
                        refused.add(name)
                wanted = {n: op for n, op in wanted.items() if n not in refused}
                continue
            return {t.name: np.asarray(v) for t, v in zip(tensors, values, strict=True)}
    return {}
