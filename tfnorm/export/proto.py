"""What `tf.saved_model.save` can't be told, written into `saved_model.pb`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tfnorm._tensorflow import XLA_MARKS


def finish(
    path: Path,
    names: Mapping[str, str],
    methods: Mapping[str, str],
    inputs: Mapping[str, Mapping[str, tf.TensorSpec]],
) -> None:
    """Name and declare inputs and methods, and take away the marks for XLA, which no server's CPU has.

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
        for made, name in names.items():
            infos[name].CopyFrom(infos[made])
            del infos[made]
        for name, spec in specs.items():
            if spec.shape.rank is not None:
                infos[name].tensor_shape.CopyFrom(spec.shape.as_proto())
    for signature, method in methods.items():
        meta_graph.signature_def[signature].method_name = method
    _unmark(meta_graph.graph_def)
    file.write_bytes(saved.SerializeToString(deterministic=True))


def _unmark(graph: graph_pb2.GraphDef) -> None:
    definitions = [*graph.node, *graph.library.function]
    for function in graph.library.function:
        definitions += function.node_def
    for definition in definitions:
        for mark in XLA_MARKS:
            definition.attr.pop(mark, None)
