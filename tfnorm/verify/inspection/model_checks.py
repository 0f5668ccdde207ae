"""What is wrong, risky or worth knowing about a SavedModel as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfnorm._tensorflow import COMPILED
from tfnorm.verify.inspection.findings import Finding
from tfnorm.verify.inspection.opened import Opened
from tfnorm.verify.inspection.variables import Variables


def check_compiled(meta_graph: meta_graph_pb2.MetaGraphDef, opened: Opened) -> Iterator[Finding]:
    """Functions marked for XLA."""
    used = {origin.function: origin for origin in reversed(opened.graph.origins.values())}
    for function in meta_graph.graph_def.library.function:
        name = function.signature.name
        if name in used and COMPILED in function.attr:
            if not function.attr[COMPILED].b:
                continue
            scope = used[name].name.rpartition("/")[0]
            yield Finding(
                "error",
                scope or name,
                None,
                opened.layers.layer(used[name].name),
                f"function {name} must be compiled by XLA",
                "TensorFlow Serving refuses it on CPU unless it runs with "
                "--xla_cpu_compilation_enabled=true. Export with jit_compile=False.",
            )


def check_variables(variables: Variables) -> Iterator[Finding]:
    """What the variables hold."""
    for fault in variables.faults():
        layer = fault.variable.split("/")[-2] if "/" in fault.variable else None
        if fault.initial:
            text = (
                "Train with training=True, or recalibrate them on training data "
                "(tfnorm.recalibrate_statistics), and export again."
            )
            yield Finding("warning", fault.variable, None, layer, fault.message, text)
        else:
            text = "Find the training step that wrote them, and export an earlier checkpoint."
            yield Finding("error", fault.variable, None, layer, fault.message, text)


def check_batch_dimensions(opened: Opened) -> Iterator[Finding]:
    """Inputs and outputs that a server which batches requests can't join or split."""
    for spec in sorted(opened.inputs.values(), key=lambda spec: str(spec.name)):
        shape = spec.shape
        if shape.rank and shape[0] is not None:
            yield Finding(
                "warning",
                spec.name,
                None,
                None,
                f"input {spec.name!r} has the fixed batch dimension {shape[0]}, of {shape}",
                "TensorFlow Serving can't batch such requests. Export with a batch dimension of "
                "None.",
            )
    unknown = []
    for name, tensor in sorted(opened.outputs.items()):
        shapes = [opened.axes.shape(tensor, which) for which in range(2)]
        if any(shape is None or None in shape for shape in shapes):
            unknown.append(name)
        elif [shape[:1] for shape in shapes if shape is not None] != [
            [n] for n in opened.axes.sizes
        ]:
            yield Finding(
                "warning",
                name,
                None,
                None,
                f"output {name!r} has not one row for each example: in a batch of "
                f"{opened.axes.sizes[0]} its shape is {shapes[0]}",
                "A server that batches requests can't split it. Give the batch as its first axis.",
            )
    if unknown:
        yield Finding(
            "warning",
            None,
            None,
            None,
            f"the batch axis can't be followed as far as {', '.join(map(repr, unknown))}",
            "Verify with examples, which needs no such thing.",
        )


def facts(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    signature: str,
    opened: Opened,
    variables: Variables,
    path: Path,
) -> Iterator[Finding]:
    """What the model is."""
    definition = meta_graph.signature_def[signature]
    given = ", ".join(f"{n}: {_spec(i)}" for n, i in sorted(definition.inputs.items()))
    back = ", ".join(f"{n}: {_spec(i)}" for n, i in sorted(definition.outputs.items()))
    yield _fact(f"takes {given or 'nothing'}; gives {back or 'nothing'}")
    version = f"version {path.name}, " if path.name.isdecimal() else ""
    tensorflow = meta_graph.meta_info_def.tensorflow_version or "an unknown version"
    yield _fact(f"{version}written by TensorFlow {tensorflow}")
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    yield _fact(
        f"{size / 1e6:,.1f} MB on disk, {len(opened.graph.nodes):,} ops, "
        f"{variables.parameters:,} values in the variables"
    )


def _fact(message: str) -> Finding:
    return Finding("info", None, None, None, message, "")


def _spec(info: meta_graph_pb2.TensorInfo) -> str:
    shape = tf.TensorShape(info.tensor_shape)
    return (
        f"{tf.as_dtype(info.dtype).name} {'of any rank' if shape.rank is None else shape.as_list()}"
    )
