"""Follow the batch axis through a graph, without running it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2

from tfnorm._tensorflow import import_graph, op_definition
from tfnorm.differences import are_equal
from tfnorm.graph.inline import Inlined
from tfnorm.graph.nodes import data_inputs, is_header, producer
from tfnorm.verify.inspection.axes.constants import fold

# Shapes are inferred for two batch sizes that divide nothing else, and for one length elsewhere.
_SIZES = (7, 11)
_LENGTHS = (13, None)
_ROUNDS = 16
# Where the ops that read a list are told the shape of its items: the number of the input.
_LIST_READERS = {"TensorListStack": 1, "TensorListGetItem": 2, "TensorListGather": 2}
_LOOKUPS = ("LookupTableFind", "LookupTableFindV2")
_MOST_REFUSALS = 16
_NAMED = re.compile(r"\{\{node ([^}]+)\}\}")


class BatchAxes:
    """Which axes of each tensor grow with the batch, by TensorFlow's own shape inference.

    Args:
        inlined: the graph, control flow written out.
        library: the functions that its ops still name.
        inputs: the signature's tensors and their shapes.
        kept: what variables hold that no call changes: the nodes that read them -> their values.
    """

    def __init__(
        self,
        inlined: Inlined,
        library: function_pb2.FunctionDefLibrary,
        inputs: Mapping[str, tf.TensorSpec],
        kept: Mapping[str, np.ndarray] = MappingProxyType({}),
    ):
        nodes = _known(_settled(inlined.nodes.values(), kept))
        # Where all inputs have a fixed batch dimension, it is tried with other sizes.
        shapes = [spec.shape for spec in inputs.values() if spec.shape.rank]
        fixed = all(shape[0] is not None for shape in shapes)
        inputs = {t: _open(spec) if fixed else spec for t, spec in inputs.items()}
        self.refused: dict[str, str] = {}
        self._graphs = self._inferred(nodes, library, inputs)
        back = {name for name, node in inlined.nodes.items() if node.op == "NextIteration"}
        headers = {name for name, node in inlined.nodes.items() if is_header(node, back)}
        self._carried = inlined.carried | headers
        self._folded = [fold(graph, self._carried) for graph in self._graphs]

    @property
    def sizes(self) -> tuple[int, int]:
        """The two batch sizes."""
        return _SIZES

    def _inferred(
        self,
        nodes: list[node_def_pb2.NodeDef],
        library: function_pb2.FunctionDefLibrary,
        inputs: Mapping[str, tf.TensorSpec],
    ) -> list[tf.Graph]:
        """A graph for each batch size; without the ops that refuse them, and what is behind those."""
        for _ in range(_MOST_REFUSALS):
            for length in _LENGTHS:
                try:
                    return [_infer(nodes, library, inputs, size, length) for size in _SIZES]
                except (ValueError, tf.errors.OpError) as error:
                    refusal = str(error)
            named = _NAMED.search(refusal)
            if named is None:
                break
            self.refused[named[1]] = refusal.partition(" for '{{node")[0]
            nodes = _known(nodes, named[1])
        return []

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
        """What a tensor holds whatever the examples are; None where they, or their number, decide."""
        first, second = (self.value(tensor, which) for which in range(2))
        if first is None or second is None or not are_equal(first, second):
            return None
        return first

    def value(self, tensor: str, which: int = 0) -> np.ndarray | None:
        """What a tensor holds for one of the two batch sizes; None where the examples decide."""
        return self._folded[which].values.get(tensor) if self._folded else None

    def fixed(self, tensor: str) -> np.ndarray | None:
        """What a tensor holds that follows from constants alone; None where a shape has a part in it."""
        if not self._folded or tensor not in self._folded[0].constant:
            return None
        return self._folded[0].values[tensor]

    def fixed_by(self, fed: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """What tensors hold that follows from constants and from these inputs alone."""
        if not self._graphs:
            return {}
        folded = fold(self._graphs[0], self._carried, fed)
        return {tensor: folded.values[tensor] for tensor in folded.constant}

    def operation(self, tensor: str) -> tf.Operation | None:
        """The op that gives a tensor, as it was imported; None where it is not known."""
        found = self._tensor(tensor, 0)
        return None if found is None else found.op

    def given(self, name: str) -> list[str]:
        """The tensors that an op gives."""
        operation = self.operation(f"{name}:0")
        return [] if operation is None else [tensor.name for tensor in operation.outputs]

    def _tensor(self, tensor: str, which: int) -> tf.Tensor | None:
        if not self._graphs:
            return None
        try:
            return self._graphs[which].get_tensor_by_name(tensor)
        except KeyError:
            return None


def _settled(
    nodes: Iterable[node_def_pb2.NodeDef], kept: Mapping[str, np.ndarray]
) -> Iterator[node_def_pb2.NodeDef]:
    """The nodes with constants for those that read what no call changes, and loops of TF 1 with one turn.

    What it begins with tells the shapes of all turns, and what no turn changes is in it what it is outside.
    """
    nodes = list(nodes)
    back = {node.name for node in nodes if node.op == "NextIteration"}
    for node in nodes:
        settled = node_def_pb2.NodeDef(name=node.name)
        if node.name in kept:
            constant = tf.make_tensor_proto(kept[node.name])
            settled.op = "Const"
            settled.attr["dtype"].type = constant.dtype
            settled.attr["value"].tensor.CopyFrom(constant)
            yield settled
        elif node.op == "Enter" or is_header(node, back):
            settled.op = "Identity"
            settled.input.extend(t for t in data_inputs(node) if producer(t) not in back)
            settled.attr["T"].CopyFrom(node.attr["T"])
            yield settled
        else:
            yield node


def _known(
    nodes: Iterable[node_def_pb2.NodeDef], refused: str | None = None
) -> list[node_def_pb2.NodeDef]:
    """The nodes that don't depend on an op unknown to TensorFlow, or on one that refused its inputs.

    `nodes` are sorted.
    """
    unknown: set[str] = set()
    known = []
    for node in nodes:
        inputs = {producer(tensor) for tensor in data_inputs(node)}
        missing = op_definition(node.op) is None or node.name == refused
        if missing or not unknown.isdisjoint(inputs):
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
        lists = _tell_what_lists_hold(graph_def, graph)
        if not _tell_what_tables_give(graph_def, graph) and not lists:
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
    values = functools.cache(lambda: fold(graph).values)
    for node in list(graph_def.node):
        if node.op not in _LIST_READERS:
            continue
        read = graph.get_tensor_by_name(f"{node.name}:0").shape
        stacked = node.op != "TensorListGetItem"
        count, item = _held(nodes, graph, values, node.input[0])
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


def _tell_what_tables_give(graph_def: graph_pb2.GraphDef, graph: tf.Graph) -> bool:
    """Put something of the shape of its keys in a look-up's place; whether there was any.

    TensorFlow takes the shape from the table, which is not there before it is run.
    """
    told = False
    for node in graph_def.node:
        if node.op not in _LOOKUPS:
            continue
        keys, default = (graph.get_tensor_by_name(tensor).shape for tensor in node.input[1:3])
        if keys.rank is None or default.rank is None:
            continue
        found = node_def_pb2.NodeDef(name=node.name, op="Placeholder")
        found.attr["dtype"].type = node.attr["Tout"].type
        found.attr["shape"].shape.CopyFrom(keys.concatenate(default).as_proto())
        node.CopyFrom(found)
        told = True
    return told


def _held(
    nodes: Mapping[str, node_def_pb2.NodeDef],
    graph: tf.Graph,
    values: Callable[[], Mapping[str, np.ndarray]],
    made: str,
) -> tuple[int | None, tf.TensorShape]:
    """How many items a list has, and their shape, as far as what made it tells."""
    node = nodes.get(producer(made))
    if node is not None and node.op == "Identity":
        return _held(nodes, graph, values, node.input[0])
    if node is not None and node.op == "TensorListSetItem":
        count, _ = _held(nodes, graph, values, node.input[0])
        return count, graph.get_tensor_by_name(node.input[2]).shape
    if node is not None and node.op == "TensorListReserve":
        reserved = values().get(node.input[1])
        return None if reserved is None else int(reserved), tf.TensorShape(None)
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
