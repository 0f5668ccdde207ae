"""The coarsest floating-point type that scores are computed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tfnorm._tensorflow import op_definition
from tfnorm.differences import TENSOR_FLOAT_32, epsilon
from tfnorm.graph.control_flow import inner_nodes
from tfnorm.graph.inline import BrokenGraph, Inliner
from tfnorm.graph.nodes import data_inputs, needed, producer
from tfnorm.graph.row_wise import REARRANGING
from tfnorm.graph.varying import by_values

_FED = ("Placeholder", "PlaceholderWithDefault")
# They pass values on as they are: stored in 16 bits is not computed in 16 bits.
_EXACT = REARRANGING | {
    *_FED,
    *("Const", "Identity", "IdentityN", "StopGradient", "PreventGradient", "Snapshot"),
    *("EnsureShape", "Select", "SelectV2", "Where", "ReadVariableOp", "Variable", "VariableV2"),
    *("Enter", "Exit", "Merge", "Switch", "NextIteration", "DynamicPartition", "DynamicStitch"),
}

Types = dict[str, str | None]


def coarsest_type(graph_def: graph_pb2.GraphDef, outputs: Sequence[str] = ()) -> str | None:
    """The coarsest type that a graph computes in.

    Args:
        graph_def: the graph.
        outputs: tensors that alone count, with what they need and is computed of what is fed; none
            for the whole graph.

    Returns:
        Its name, such as "float32", "tensorfloat32" where products of float32 are rounded so on this
        machine's processors; None where there is no floating-point number at all.
    """
    if not outputs:
        inner = (function.node_def for function in graph_def.library.function)
        return _coarsest(chain.from_iterable(map(_named, chain(graph_def.node, *inner))))
    try:
        nodes = Inliner(graph_def).graph(outputs)
    except BrokenGraph:
        return coarsest_type(graph_def)
    functions = {function.signature.name: function for function in graph_def.library.function}
    varying: set[str] = set()
    # What nothing is computed for is given as it is.
    given = [nodes.nodes[producer(t)] for t in nodes.outputs if producer(t) in nodes.nodes]
    computed = [kind for node in given for kind in _given(node)]
    for node in needed(map(by_values, nodes.nodes.values()), nodes.outputs):
        opaque = (tf.resource.as_datatype_enum, tf.variant.as_datatype_enum)
        fed = node.op in _FED and node.attr["dtype"].type not in opaque
        if fed or any(producer(tensor) in varying for tensor in data_inputs(node)):
            varying.add(node.name)
            called = list(inner_nodes(node, functions))
            computed += [kind for one in called or [node] for kind in _computed(one)]
    return _coarsest(computed)


def coarsest_types(graph_def: graph_pb2.GraphDef, outputs: Mapping[str, str]) -> Types:
    """The coarsest type that each output is computed in.

    Args:
        graph_def: the graph.
        outputs: output name -> tensor.
    """
    return {name: coarsest_type(graph_def, [tensor]) for name, tensor in outputs.items()}


def coarsest_of(types: Iterable[str | None]) -> str | None:
    """The coarsest of several types; None where none is known."""
    return max(filter(None, types), key=epsilon, default=None)


def _coarsest(types: Iterable[int]) -> str | None:
    kinds = [tf.as_dtype(number) for number in set(types) if number]
    names = {(kind.real_dtype if kind.is_complex else kind).name for kind in kinds}
    coarsest = coarsest_of(name for name in names if epsilon(name))
    return TENSOR_FLOAT_32 if coarsest == "float32" and _rounds_products() else coarsest


def _rounds_products() -> bool:
    """Whether products of float32 numbers are computed in TensorFloat-32 on this machine."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    return bool(enabled and tf.config.list_physical_devices("GPU"))


def _named(node: node_def_pb2.NodeDef) -> Iterator[int]:
    """All types that a node names."""
    for attribute in node.attr.values():
        if attribute.WhichOneof("value") == "type":
            yield attribute.type


def _computed(node: node_def_pb2.NodeDef) -> Iterator[int]:
    """The types of what a node computes itself."""
    if not (node.op in _EXACT or (node.op == "Cast" and _is_exact(node))):
        yield from _given(node)


def _given(node: node_def_pb2.NodeDef) -> Iterator[int]:
    """The types of what a node gives."""
    definition = op_definition(node.op)
    if definition is None:
        yield from _named(node)
        return
    for output in definition.output_arg:
        if output.type_list_attr:
            yield from node.attr[output.type_list_attr].list.type
        else:
            yield node.attr[output.type_attr].type if output.type_attr else output.type


def _is_exact(node: node_def_pb2.NodeDef) -> bool:
    """Whether a cast loses nothing."""
    source, target = (tf.as_dtype(node.attr[name].type) for name in ("SrcT", "DstT"))
    return not source.is_floating or epsilon(source.name) >= epsilon(target.name)
