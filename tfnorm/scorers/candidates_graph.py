"""A signature that takes users once, written as one that takes a row for each candidate of some users."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfnorm.errors import InputError

_GRAPH = "saved_model.pb"


def write_by_candidate(
    path: Path,
    signature: str,
    users: Mapping[str, np.ndarray],
    directory: Path,
) -> None:
    """Write a SavedModel whose signature takes `[candidates, ...]` and gives `[candidates, users, ...]`.

    Its graph is the one that there is, but for what its placeholders give and what is done with its outputs.

    Args:
        path: the SavedModel.
        signature: the signature, which takes users and candidates of each.
        users: input name -> `[users, ...]`, of all inputs but the candidates'.
        directory: an empty folder.

    Raises:
        InputError: the SavedModel is written as text, or does not say how many axes an output has.
    """
    file = path / _GRAPH
    if not file.is_file():
        raise InputError(f"{path} has no {_GRAPH}; what is to blame is looked for in that")
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in saved.meta_graphs:
        if tf.saved_model.SERVING in meta_graph.meta_info_def.tags:
            _rewrite(meta_graph, signature, users)
    (directory / _GRAPH).write_bytes(saved.SerializeToString())
    for beside in path.iterdir():
        if beside.name != _GRAPH:
            (directory / beside.name).symlink_to(beside.resolve())


def _rewrite(
    meta_graph: meta_graph_pb2.MetaGraphDef, signature: str, users: Mapping[str, np.ndarray]
) -> None:
    graph, definition = meta_graph.graph_def, meta_graph.signature_def[signature]
    nodes = {node.name: node for node in graph.node}
    count = len(next(iter(users.values())))
    for name, info in list(definition.inputs.items()):
        placeholder = nodes[info.name.partition(":")[0]]
        if name in users:
            _make_constant(placeholder, users[name], info.dtype)
            del definition.inputs[name]
            continue
        rows = graph.node.add(name=f"{placeholder.name}/rows", op="Placeholder")
        rows.attr["dtype"].type = info.dtype
        _make(placeholder, "Pack", [rows.name] * count, T=info.dtype)
        placeholder.attr["N"].i = count
        placeholder.attr["axis"].i = 0
        info.name = f"{rows.name}:0"
        del info.tensor_shape.dim[0]
        info.tensor_shape.dim[0].size = -1
    for name, info in definition.outputs.items():
        if info.tensor_shape.unknown_rank:
            raise InputError(
                f"signature {signature!r} does not say how many axes {name!r} has, so that what is to blame "
                "can't be looked for"
            )
        axes = np.arange(len(info.tensor_shape.dim), dtype=np.int32)
        axes[:2] = 1, 0
        order = graph.node.add(name=f"by_candidate/{name}/axes")
        _make_constant(order, axes, tf.int32.as_datatype_enum)
        turned = graph.node.add(name=f"by_candidate/{name}")
        _make(turned, "Transpose", [info.name, order.name], T=info.dtype)
        turned.attr["Tperm"].type = tf.int32.as_datatype_enum
        info.name = f"{turned.name}:0"
        for axis in info.tensor_shape.dim[:2]:
            axis.size = -1


def _make(node: node_def_pb2.NodeDef, op: str, inputs: list[str], **types: int) -> None:
    """Have a node be another op."""
    node.op = op
    node.attr.clear()
    del node.input[:]
    node.input.extend(inputs)
    for name, dtype in types.items():
        node.attr[name].type = dtype


def _make_constant(node: node_def_pb2.NodeDef, value: np.ndarray, dtype: int) -> None:
    _make(node, "Const", [], dtype=dtype)
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
