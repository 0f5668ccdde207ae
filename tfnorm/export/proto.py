"""What `tf.saved_model.save` can't be told, written into `saved_model.pb`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tfnorm._tensorflow import XLA_MARKS
from tfnorm.session import DEFAULT_SIGNATURE


def finish(path: Path, names: Mapping[str, str], methods: Mapping[str, str]) -> None:
    """Name inputs and methods, and take away the marks for XLA, which is not there on a server's CPU.

    Args:
        path: the SavedModel.
        names: input of the signature `serving_default` -> the name that it shall have.
        methods: signature -> the method that it shall have.
    """
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (meta_graph,) = saved.meta_graphs
    inputs = meta_graph.signature_def[DEFAULT_SIGNATURE].inputs
    for made, name in names.items():
        inputs[name].CopyFrom(inputs[made])
        del inputs[made]
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
