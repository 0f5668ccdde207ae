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
_LOOPS_IN_A_ROW = 8


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
    for _ in range(_LOOPS_IN_A_ROW):
        if not _tell_what_lists_hold(graph_def, graph):
            break
        graph = _imported(graph_def)
    return graph


def _imported(graph_def: graph_pb2.GraphDef) -> tf.Graph:
    graph = tf.Graph()
    import_graph(graph_def, graph)
    return graph


def _tell_what_lists_hold(graph_def: graph_pb2.GraphDef, graph: tf.Graph) -> bool:
    """Give each stacked list the shape of the items that a loop wrote to it.

    TensorFlow itself forgets it between a loop and what follows: the layers after an RNN would have
    no known batch axis. Returns whether anything new was told.
    """
    told = False
    nodes = {node.name: node for node in graph_def.node}
    for node in list(graph_def.node):
        if (
            node.op != "TensorListStack"
            or graph.get_tensor_by_name(f"{node.name}:0").shape[1:].is_fully_defined()
        ):
            continue
        written = nodes.get(producer(node.input[0]))
        while written is not None and written.op == "Identity":
            written = nodes.get(producer(written.input[0]))
        if written is None or written.op != "TensorListSetItem":
            continue
        item = graph.get_tensor_by_name(written.input[2]).shape
        if item.is_fully_defined():
            shape = graph_def.node.add(name=f"{node.name}/told", op="Const")
            shape.attr["dtype"].type = tf.int32.as_datatype_enum
            shape.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(item.as_list(), tf.int32))
            node.input[1] = f"{shape.name}:0"
            told = True
    return told


def _open(spec: tf.TensorSpec) -> tf.TensorSpec:
    shape = tf.TensorShape([None, *spec.shape[1:]]) if spec.shape.rank else spec.shape
    return tf.TensorSpec(shape, spec.dtype, spec.name)


def _sized(shape: tf.TensorShape, size: int, length: int | None) -> tf.TensorShape:
    if not shape.rank:
        return shape
    first, *rest = shape.as_list()
    return tf.TensorShape([first or size, *(length if n is None else n for n in rest)])
