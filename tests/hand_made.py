"""Graphs written by hand, and models that are one function, for those who read graphs."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfnorm.graph.inline import Inlined, Inliner
from tfnorm.verify.inspection.axes.batch_axes import BatchAxes
from tfnorm.verify.inspection.opened import Opened, open_graph


def node(name: str, op: str, *inputs: str, **functions: str) -> node_def_pb2.NodeDef:
    """A node; `functions` are the attributes that name a function."""
    made = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
    for attribute, function in functions.items():
        made.attr[attribute].func.name = function
    return made


def nodes(*made: node_def_pb2.NodeDef) -> dict[str, node_def_pb2.NodeDef]:
    """Nodes by name."""
    return {each.name: each for each in made}


def traced(call, *specs: tf.TensorSpec) -> tuple[graph_pb2.GraphDef, list[str], list[str]]:
    """A function's graph without its calls, and the names of its inputs and of its outputs."""
    graph = tf.Graph()
    with graph.as_default():
        fed = [tf.compat.v1.placeholder(spec.dtype, spec.shape, spec.name) for spec in specs]
        given = tf.nest.flatten(call(*fed))
    return graph.as_graph_def(), [t.name for t in fed], [t.name for t in given]


def saved(directory: Path, call, *specs: tf.TensorSpec, **variables: object) -> Path:
    """A SavedModel that is one function, with the variables and tables that it uses."""
    module = tf.Module()
    for name, variable in variables.items():
        setattr(module, name, variable)
    module.serve = tf.function(call, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(directory), signatures=module.serve)
    return directory


def axes_of(call, *specs: tf.TensorSpec) -> tuple[Inlined, BatchAxes]:
    """A function's graph, control flow written out, and where its batch axis goes."""
    graph_def, fed, given = traced(call, *specs)
    inlined = Inliner(graph_def, control_flow=True).graph(given)
    inputs = dict(zip(fed, specs, strict=True))
    return inlined, BatchAxes(inlined, graph_def.library, inputs)


def signature(
    call, **inputs: list[int | None] | tf.TensorSpec | bool
) -> meta_graph_pb2.MetaGraphDef:
    """A graph with the signature "serve" of one function.

    An input is a shape, of numbers, or of a bool where it is empty; a spec; or a bool that isn't fed. What
    the function gives is its "score", unless it is a dict.
    """
    meta_graph = meta_graph_pb2.MetaGraphDef()
    made = meta_graph.signature_def["serve"]
    tensor_info = tf.compat.v1.saved_model.utils.build_tensor_info
    with tf.Graph().as_default() as graph:
        given = {}
        for name, kind in inputs.items():
            if isinstance(kind, bool):
                given[name] = tf.compat.v1.placeholder_with_default(kind, [], name)
                continue
            if not isinstance(kind, tf.TensorSpec):
                kind = tf.TensorSpec(kind, tf.float32 if kind else tf.bool)
            given[name] = tf.compat.v1.placeholder(kind.dtype, kind.shape, name)
            made.inputs[name].CopyFrom(tensor_info(given[name]))
        scores = call(**given)
        for name, score in (scores if isinstance(scores, dict) else {"score": scores}).items():
            made.outputs[name].CopyFrom(tensor_info(score))
    meta_graph.graph_def.CopyFrom(graph.as_graph_def())
    return meta_graph


def laid_open(call, **inputs: list[int | None] | tf.TensorSpec | bool) -> Opened:
    """The same for those who inspect it."""
    return open_graph(signature(call, **inputs), "serve")
