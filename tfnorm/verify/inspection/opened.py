"""A signature's graph laid open for those who inspect it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfnorm.graph.conditions import decided
from tfnorm.graph.inline import Inlined, Inliner
from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.graph.ops import is_assignment
from tfnorm.graph.origins import Layers
from tfnorm.verify.inspection.axes.batch_axes import BatchAxes
from tfnorm.verify.inspection.settings import Setting, settings, unset

_BRANCHES_IN_BRANCHES = 8


@dataclass(frozen=True)
class Opened:
    """What there is to inspect.

    Args:
        graph: the signature's graph, its functions, branches and loops written out.
        axes: where its batch axis goes.
        layers: finds the layer of an op.
        inputs: tensor of the graph -> the signature's input.
        outputs: the signature's output -> tensor of the graph.
        running: the nodes that run.
        scoring: those that the scores depend on.
        settings: what happens for values of the inputs that have no rows.
    """

    graph: Inlined
    axes: BatchAxes
    layers: Layers
    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, str]
    running: frozenset[str]
    scoring: frozenset[str]
    settings: Sequence[Setting]


def open_graph(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    signature: str,
    variable: Callable[[str], np.ndarray | None] = lambda name: None,
) -> Opened:
    """Lay a signature open; branches that no call takes are left out.

    Args:
        meta_graph: of the SavedModel.
        signature: its name.
        variable: gives what a small variable holds, by its name; None where that isn't known.

    Raises:
        BrokenGraph: the graph refers to what it doesn't have.
    """
    definition = meta_graph.signature_def[signature]
    inputs = {
        info.name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), name)
        for name, info in definition.inputs.items()
    }
    names = list(definition.outputs)
    wanted = [definition.outputs[name].name for name in names]
    graph_def = meta_graph.graph_def
    taken: dict[str, int] = {}
    changed: set[str] | None = None
    for _ in range(_BRANCHES_IN_BRANCHES):
        graph = Inliner(graph_def, control_flow=True, taken=taken).graph(wanted)
        known = _kept(graph, variable)
        if known and changed is None:
            changed = _changed_by_others(meta_graph, signature)
        kept = {
            name: value for name, (holder, value) in known.items() if holder not in (changed or ())
        }
        axes = BatchAxes(graph, graph_def.library, inputs, kept)
        new = decided(graph.choices, axes.fixed).items() - taken.items()
        if not new:
            break
        taken |= dict(new)
    whatever = unset(graph, axes)
    return Opened(
        graph,
        axes,
        Layers(graph.nodes.values(), graph.origins),
        inputs,
        dict(zip(names, graph.outputs, strict=True)),
        whatever.running,
        whatever.scoring,
        settings(graph, axes, inputs),
    )


def _kept(
    graph: Inlined, variable: Callable[[str], np.ndarray | None]
) -> dict[str, tuple[str, np.ndarray]]:
    """The nodes that read small variables which the graph does not change: the variable, what it holds."""
    changed, found = _changed(graph), {}
    for name, node in graph.nodes.items():
        if node.op == "ReadVariableOp":
            holder = producer(data_inputs(node)[0])
            known = holder in graph.nodes and graph.nodes[holder].op == "VarHandleOp"
        else:
            holder, known = name, node.op in ("Variable", "VariableV2")
        if known and holder not in changed and (value := variable(holder)) is not None:
            found[name] = holder, value
    return found


def _changed(graph: Inlined) -> set[str]:
    """The variables that may be changed in a graph."""
    return {
        producer(tensor)
        for node in graph.nodes.values()
        if is_assignment(node.op) or node.op.startswith("Ref")
        for tensor in data_inputs(node)
    }


def _changed_by_others(meta_graph: meta_graph_pb2.MetaGraphDef, signature: str) -> set[str]:
    """The variables that other signatures may change."""
    inliner = Inliner(meta_graph.graph_def, control_flow=True)
    return {
        variable
        for name, other in meta_graph.signature_def.items()
        if name != signature and not name.startswith("__saved_model")
        for variable in _changed(inliner.graph([info.name for info in other.outputs.values()]))
    }
