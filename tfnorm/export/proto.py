"""What `tf.saved_model.save` can't be told, written into `saved_model.pb`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableSequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tfnorm._tensorflow import XLA_MARKS


def finish(
    path: Path,
    names: Mapping[str, str],
    methods: Mapping[str, str],
    inputs: Mapping[str, Mapping[str, tf.TensorSpec]],
) -> None:
    """Name and declare inputs and methods, and have every server run the graph as it stands.

    Marks for XLA, which no server's CPU has, are taken away. Rows are looked up in what is read of a
    variable, since an op that looks them up in the variable itself copies a table that is in use elsewhere.

    Args:
        path: the SavedModel.
        names: input of a signature -> the name that it shall have.
        methods: signature -> the method that it shall have.
        inputs: signature -> its inputs, by the names that they shall have, with the shapes to declare.
    """
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (meta_graph,) = saved.meta_graphs
    for signature, specs in inputs.items():
        infos = meta_graph.signature_def[signature].inputs
        renamed = {name: copy.deepcopy(infos[made]) for made, name in names.items()}
        for made in names:
            del infos[made]
        for name, info in renamed.items():
            infos[name].CopyFrom(info)
        for name, spec in specs.items():
            if spec.shape.rank is not None:
                infos[name].tensor_shape.CopyFrom(spec.shape.as_proto())
    for signature, method in methods.items():
        meta_graph.signature_def[signature].method_name = method
    _unmark(meta_graph.graph_def)
    _read_before_gathering(meta_graph.graph_def.node, "")
    for function in meta_graph.graph_def.library.function:
        _read_before_gathering(function.node_def, ":value")
    file.write_bytes(saved.SerializeToString(deterministic=True))


def _unmark(graph: graph_pb2.GraphDef) -> None:
    definitions = [*graph.node, *graph.library.function]
    for function in graph.library.function:
        definitions += function.node_def
    for definition in definitions:
        for mark in XLA_MARKS:
            definition.attr.pop(mark, None)


def _read_before_gathering(nodes: MutableSequence[node_def_pb2.NodeDef], output: str) -> None:
    """Replace each ResourceGather by what reads the variable and takes rows of the value.

    Args:
        nodes: of a graph or a function.
        output: what follows the name of a ReadVariableOp, before its output's number.
    """
    for node in [node for node in nodes if node.op == "ResourceGather"]:
        read = node_def_pb2.NodeDef(
            name=f"{node.name}/table", op="ReadVariableOp", device=node.device
        )
        read.input.append(node.input[0])
        read.input.extend(name for name in node.input if name.startswith("^"))
        read.attr["dtype"].CopyFrom(node.attr["dtype"])
        axis = node_def_pb2.NodeDef(name=f"{node.name}/axis", op="Const", device=node.device)
        axis.attr["dtype"].type = tf.int32.as_datatype_enum
        first = node.attr["batch_dims"].i if "batch_dims" in node.attr else 0
        axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.int32(first)))
        node.op = "GatherV2"
        node.input[0] = f"{read.name}{output}:0"
        node.input.insert(2, f"{axis.name}{':output' if output else ''}:0")
        node.attr["Tparams"].CopyFrom(node.attr["dtype"])
        node.attr["Taxis"].type = tf.int32.as_datatype_enum
        for name in ("dtype", "validate_indices"):
            node.attr.pop(name, None)
        nodes.extend([read, axis])
