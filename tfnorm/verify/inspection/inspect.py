"""What is wrong or risky in a SavedModel, told without running it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfnorm._tensorflow import COMPILED, op_definition
from tfnorm.differences import epsilon
from tfnorm.errors import InputError
from tfnorm.graph.inline import Inlined, Inliner
from tfnorm.graph.nodes import data_inputs, needed
from tfnorm.graph.ops import STATE_READS, advice, is_assignment, is_random
from tfnorm.graph.origins import Layers
from tfnorm.session import DEFAULT_SIGNATURE, find_saved_model
from tfnorm.verify.inspection.batch_axes import BatchAxes
from tfnorm.verify.inspection.crossings import crossing
from tfnorm.verify.inspection.findings import SEVERITIES, Finding, Findings
from tfnorm.verify.inspection.text import to_text
from tfnorm.verify.inspection.variables import Variables

_PYTHON = ("PyFunc", "EagerPyFunc", "PyFuncStateless")


class Inspection(Findings):
    """What `inspect_saved_model` found; as a string, it is the text that `tfnorm inspect` prints."""

    def __str__(self) -> str:
        return to_text(self)


def inspect_saved_model(directory: str | Path, *, signature: str = DEFAULT_SIGNATURE) -> Inspection:
    """Look into a SavedModel for what makes scores wrong, without examples and without running it.

    Looked for: ops that reach across the batch axis (reductions, sorts, scans, softmaxes, counts,
    matrix products), normalization in training mode, moving statistics never updated, NaN and
    negative variances, random ops, assignments, functions compiled by XLA, ops that TensorFlow Serving
    doesn't have, and fixed batch dimensions.

    Args:
        directory: of the SavedModel, or the folder of its versions (the newest is taken).
        signature: the signature to look into.

    Raises:
        InputError: there is no SavedModel, it is damaged, or it has no such signature.

    Example:

        >>> inspection = inspect_saved_model("exports/ranker")  # doctest: +SKIP
        >>> [finding.op for finding in inspection.findings]     # doctest: +SKIP
        ['functional_1/dice_1/Mean', None]
    """
    path = find_saved_model(directory)
    meta_graph = _read(path)
    if signature not in meta_graph.signature_def:
        names = ", ".join(map(repr, meta_graph.signature_def)) or "none"
        raise InputError(f"{path} has no signature {signature!r}; it has {names}")
    variables = Variables(path)
    try:
        findings = list(_Inspector(meta_graph, signature, variables, path).findings())
    except KeyError as error:
        raise InputError(f"{path}/saved_model.pb is damaged: {error} is not in it") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}/saved_model.pb is damaged: {error}") from error
    unique = dict.fromkeys(findings)
    return Inspection(
        path, signature, tuple(sorted(unique, key=lambda f: SEVERITIES.index(f.severity)))
    )


class _Inspector:
    """Goes over one signature's graph, check by check."""

    def __init__(
        self,
        meta_graph: meta_graph_pb2.MetaGraphDef,
        signature: str,
        variables: Variables,
        path: Path,
    ):
        self._meta_graph = meta_graph
        self._signature = meta_graph.signature_def[signature]
        self._variables = variables
        self._path = path
        graph_def = meta_graph.graph_def
        outputs = [info.name for info in self._signature.outputs.values()]
        self._graph: Inlined = Inliner(graph_def, control_flow=True).graph(outputs)
        self._outputs = dict(zip(outputs, self._graph.outputs, strict=True))
        self._inputs = {
            info.name: tf.TensorSpec(
                tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), name
            )
            for name, info in self._signature.inputs.items()
        }
        self._axes = BatchAxes(self._graph, graph_def.library, self._inputs)
        self._layers = Layers(self._graph.nodes.values(), self._graph.origins)
        # An assignment reads much that no score depends on.
        stripped = []
        for node in self._graph.nodes.values():
            copied = node_def_pb2.NodeDef(name=node.name, op=node.op, input=data_inputs(node))
            stripped.append(copied)
        wanted = [*self._graph.outputs, *self._graph.decisions]
        self._scoring = {node.name for node in needed(stripped, wanted)}

    def findings(self) -> Iterator[Finding]:
        """Everything, check by check."""
        yield from self._ops()
        yield from self._compiled()
        yield from self._held()
        yield from self._batch_dimensions()
        yield from self._facts()

    def _ops(self) -> Iterator[Finding]:
        read = {
            data_inputs(node)[0]
            for name, node in self._graph.nodes.items()
            if name in self._scoring and node.op in STATE_READS
        }
        for name, node in self._graph.nodes.items():
            if op_definition(node.op) is None or node.op in _PYTHON:
                yield self._found(
                    "error",
                    node,
                    f"{node.op} is no op of TensorFlow Serving",
                    "Build the layer from TensorFlow's own ops, or serve with a build that has it.",
                )
            elif is_assignment(node.op):
                scored = not read.isdisjoint(data_inputs(node)[:1])
                yield self._found(
                    "error" if scored else "warning",
                    node,
                    f"{node.op} changes the model at every call"
                    + (", and the scores read what it changes" if scored else ""),
                    advice(node.op),
                )
            elif is_random(node.op) and name in self._scoring:
                message = f"{node.op} draws at every call, and the scores use it"
                yield self._found("error", node, message, advice(node.op))
            elif name in self._scoring and (what := crossing(node, self._axes)):
                yield self._crossed(node, what)

    def _crossed(self, node: node_def_pb2.NodeDef, what: str) -> Finding:
        dtype = self._axes.dtype(data_inputs(node)[0])
        if dtype is not None and not epsilon(dtype):
            return self._found(
                "warning",
                node,
                f"{node.op} {what}, of type {dtype.name}",
                "Harmless where it decides on shapes alone, such as the longest history of a batch; "
                "verify with examples.",
            )
        if what.startswith("takes fixed rows"):
            text = "Compute each example's score from that example alone."
            return self._found("warning", node, f"{node.op} {what}", text)
        return self._found("error", node, f"{node.op} {what}", advice(node.op))

    def _compiled(self) -> Iterator[Finding]:
        """Functions marked for XLA."""
        used = {origin.function: origin for origin in reversed(self._graph.origins.values())}
        for function in self._meta_graph.graph_def.library.function:
            name = function.signature.name
            if name in used and COMPILED in function.attr:
                if not function.attr[COMPILED].b:
                    continue
                scope = used[name].name.rpartition("/")[0]
                yield Finding(
                    "error",
                    scope or name,
                    None,
                    self._layers.layer(used[name].name),
                    f"function {name} must be compiled by XLA",
                    "TensorFlow Serving refuses it on CPU unless it runs with "
                    "--xla_cpu_compilation_enabled=true. Export with jit_compile=False.",
                )

    def _held(self) -> Iterator[Finding]:
        """What the variables hold."""
        for fault in self._variables.faults():
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

    def _batch_dimensions(self) -> Iterator[Finding]:
        for name, info in sorted(self._signature.inputs.items()):
            shape = self._inputs[info.name].shape
            if shape.rank and shape[0] is not None:
                yield Finding(
                    "warning",
                    name,
                    None,
                    None,
                    f"input {name!r} has the fixed batch dimension {shape[0]}, of {shape}",
                    "TensorFlow Serving can't batch such requests. Export with a batch dimension of "
                    "None.",
                )
        lost = [
            name
            for name, info in sorted(self._signature.outputs.items())
            if not self._axes.axes(self._outputs[info.name])
        ]
        if lost:
            yield Finding(
                "info",
                None,
                None,
                None,
                f"the batch axis can't be followed as far as {', '.join(map(repr, lost))}",
                "Verify with examples, which needs no such thing.",
            )

    def _facts(self) -> Iterator[Finding]:
        given = ", ".join(f"{n}: {_spec(i)}" for n, i in sorted(self._signature.inputs.items()))
        back = ", ".join(f"{n}: {_spec(i)}" for n, i in sorted(self._signature.outputs.items()))
        yield _fact(f"takes {given or 'nothing'}; gives {back or 'nothing'}")
        version = f"version {self._path.name}, " if self._path.name.isdecimal() else ""
        tensorflow = self._meta_graph.meta_info_def.tensorflow_version or "an unknown version"
        yield _fact(f"{version}written by TensorFlow {tensorflow}")
        size = sum(file.stat().st_size for file in self._path.rglob("*") if file.is_file())
        yield _fact(
            f"{size / 1e6:,.1f} MB on disk, {len(self._graph.nodes):,} ops, "
            f"{self._variables.parameters:,} values in the variables"
        )

    def _found(
        self, severity: str, node: node_def_pb2.NodeDef, message: str, what_to_do: str
    ) -> Finding:
        name = self._graph.origins[node.name].name
        return Finding(severity, name, node.op, self._layers.layer(name), message, what_to_do)


def _fact(message: str) -> Finding:
    return Finding("info", None, None, None, message, "")


def _spec(info: meta_graph_pb2.TensorInfo) -> str:
    shape = tf.TensorShape(info.tensor_shape)
    return (
        f"{tf.as_dtype(info.dtype).name} {'of any rank' if shape.rank is None else shape.as_list()}"
    )


def _read(path: Path) -> meta_graph_pb2.MetaGraphDef:
    file = path / "saved_model.pb"
    try:
        saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except DecodeError as error:
        raise InputError(f"{file} is damaged: it can't be parsed ({error})") from error
    for meta_graph in saved.meta_graphs:
        if tf.saved_model.SERVING in meta_graph.meta_info_def.tags:
            return meta_graph
    tags = "; ".join(", ".join(m.meta_info_def.tags) or "no tag" for m in saved.meta_graphs)
    raise InputError(
        f"{file} has no graph tagged {tf.saved_model.SERVING!r}; it has {tags or 'no graph at all'}"
    )
