"""Follow the batch axis through a graph, without running it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2

from tfnorm._tensorflow import import_graph, op_definition
from tfnorm.graph.inline import Inlined
from tfnorm.graph.nodes import data_inputs, producer

# Shapes are inferred for two batch sizes that divide nothing else, and for one length elsewhere.
_SIZES = (7, 11)
_LENGTHS = (13, None)
_ROUNDS = 16
# Where the ops that read a list are told the shape of its items: the number of the input.
_LIST_READERS = {"TensorListStack": 1, "TensorListGetItem": 2, "TensorListGather": 2}


class BatchAxes:
    """Which axes of each tensor grow with the batch, by TensorFlow's own shape inference.

    Args:
        inlined: the graph, control flow written out.
        library: the functions that its ops still name.
        inputs: the signature's tensors and their shapes.
    """

    def __init__(
        self,
        inlined: Inlined,
        library: function_pb2.FunctionDefLibrary,
        inputs: Mapping[str, tf.TensorSpec],
    ):
        nodes = _known(inlined.nodes.values())
        # Where all inputs have a fixed batch dimension, it is tried with other sizes.
        shapes = [spec.shape for spec in inputs.values() if spec.shape.rank]
        fixed = all(shape[0] is not None for shape in shapes)
        inputs = {t: _open(spec) if fixed else spec for t, spec in inputs.items()}
        self._graphs: list[tf.Graph] = []
        for length in _LENGTHS:
            try:
                self._graphs = [_infer(nodes, library, inputs, size, length) for size in _SIZES]
                break
            except (ValueError, tf.errors.OpError):
                continue

    def axes(self, tensor: str) -> frozenset[int]:
        """The axes that grow with the batch, alone or folded with others."""
        first, second = (self.shape(tensor, i) for i in range(2))
        if first is None or second is None or len(first) != len(second):
            return frozenset()
        return frozenset(
            axis
            for axis, (a, b) in enumerate(zip(first, second, strict=True))
            if a and b and a != b and a * _SIZES[1] == b * _SIZES[0]
        )

    def shape(self, tensor: str, which: int = 0) -> list[int | None] | None:
        """The shape for one of the two batch sizes; None if the rank is unknown."""
        found = self._tensor(tensor, which)
        return None if found is None or found.shape.rank is None else found.shape.as_list()

    def dtype(self, tensor: str) -> tf.DType | None:
        """The type of a tensor; None for one behind an op that TensorFlow doesn't know."""
        found = self._tensor(tensor, 0)
        return None if found is None else found.dtype.base_dtype

    def constant(self, tensor: str) -> np.ndarray | None:
        """The value of a constant; None for what is no constant."""
        found = self._tensor(tensor, 0)
        return None if found is None else tf.get_static_value(found)

    def _tensor(self, tensor: str, which: int) -> tf.Tensor | None:
        if not self._graphs:
            return None
        try:
            return self._graphs[which].get_tensor_by_name(tensor)
        except KeyError:
            return None


def _known(nodes: Iterable[node_def_pb2.NodeDef]) -> list[node_def_pb2.NodeDef]:
    """The nodes that don't depend on an op unknown to TensorFlow; `nodes` are sorted."""
    unknown: set[str] = set()
    known = []
    for node in nodes:
        inputs = {producer(tensor) for tensor in data_inputs(node)}
        if op_definition(node.op) is None or not unknown.isdisjoint(inputs):
            unknown.add(node.name)
        else:
            known.append(node)
    return known


def _infer(
    nodes: list[node_def_pb2.NodeDef],
    library: function_pb2.FunctionDefLibrary,
    inputs: Mapping[str, tf.TensorSpec],
    size: int,
    length: int | None,
) -> tf.Graph:
    """The graph with all shapes that TensorFlow can infer for one batch size."""
    graph_def = graph_pb2.GraphDef(library=library)
    fed = {producer(tensor): spec for tensor, spec in inputs.items()}
    for node in nodes:
        copied = graph_def.node.add(name=node.name, op=node.op)
        if node.name not in fed:
            copied.input.extend(data_inputs(node))
            for name, value in node.attr.items():
                copied.attr[name].CopyFrom(value)
            continue
        copied.op = "Placeholder"
        copied.attr["dtype"].type = fed[node.name].dtype.as_datatype_enum
        copied.attr["shape"].shape.CopyFrom(_sized(fed[node.name].shape, size, length).as_proto())
    graph = _imported(graph_def)
    for _ in range(_ROUNDS):
        if not _tell_what_lists_hold(graph_def, graph):
            break
        graph = _imported(graph_def)
    return graph


def _imported(graph_def: graph_pb2.GraphDef) -> tf.Graph:
    graph = tf.Graph()
    import_graph(graph_def, graph)
    return graph


def _tell_what_lists_hold(graph_def: graph_pb2.GraphDef, graph: tf.Graph) -> bool:
    """Give what is read from a list the shape of the items that were put into it, and their number.

    TensorFlow itself forgets both around a loop: the layers after an RNN would have no known batch
    axis. Returns whether anything new was told.
    """
    told = False
    nodes = {node.name: node for node in graph_def.node}
    for node in list(graph_def.node):
        if node.op not in _LIST_READERS:
            continue
        read = graph.get_tensor_by_name(f"{node.name}:0").shape
        stacked = node.op != "TensorListGetItem"
        count, item = _held(nodes, graph, node.input[0])
        if item.is_fully_defined() and not (read[1:] if stacked else read).is_fully_defined():
            shape = graph_def.node.add(name=f"{node.name}/told", op="Const")
            shape.attr["dtype"].type = tf.int32.as_datatype_enum
            shape.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(item.as_list(), tf.int32))
            node.input[_LIST_READERS[node.op]] = f"{shape.name}:0"
            told = True
        if node.op == "TensorListStack" and count is not None and read[:1] == [None]:
            node.attr["num_elements"].i = count
            told = True
    return told


def _held(
    nodes: Mapping[str, node_def_pb2.NodeDef], graph: tf.Graph, made: str
) -> tuple[int | None, tf.TensorShape]:
    """How many items a list has, and their shape, as far as what made it tells."""
    node = nodes.get(producer(made))
    if node is not None and node.op == "Identity":
        return _held(nodes, graph, node.input[0])
    if node is not None and node.op == "TensorListSetItem":
        return _held(nodes, graph, node.input[0])[0], graph.get_tensor_by_name(node.input[2]).shape
    if node is not None and node.op == "TensorListReserve":
        count = tf.get_static_value(graph.get_tensor_by_name(node.input[1]))
        return None if count is None else int(count), tf.TensorShape(None)
    if node is not None and node.op == "TensorListFromTensor":
        stacked = graph.get_tensor_by_name(node.input[0]).shape
        if stacked.rank:
            return stacked[0], stacked[1:]
    return None, tf.TensorShape(None)


def _open(spec: tf.TensorSpec) -> tf.TensorSpec:
    shape = tf.TensorShape([None, *spec.shape[1:]]) if spec.shape.rank else spec.shape
    return tf.TensorSpec(shape, spec.dtype, spec.name)


def _sized(shape: tf.TensorShape, size: int, length: int | None) -> tf.TensorShape:
    if not shape.rank:
        return shape
    first, *rest = shape.as_list()
    return tf.TensorShape([first or size, *(length if n is None else n for n in rest)])
