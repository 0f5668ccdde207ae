"""A signature's graph laid open for those who inspect it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfnorm.graph.conditions import conditions, decided, live
from tfnorm.graph.inline import Inlined, Inliner
from tfnorm.graph.nodes import needed
from tfnorm.graph.origins import Layers
from tfnorm.verify.inspection.axes.batch_axes import BatchAxes

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
        scoring: the nodes that the scores depend on.
        chosen_by: node -> the signature's inputs, without a batch axis, that say whether it runs.
    """

    graph: Inlined
    axes: BatchAxes
    layers: Layers
    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, str]
    scoring: frozenset[str]
    chosen_by: Mapping[str, frozenset[str]]


def open_graph(meta_graph: meta_graph_pb2.MetaGraphDef, signature: str) -> Opened:
    """Lay a signature open; branches that no call takes are left out.

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
    for _ in range(_BRANCHES_IN_BRANCHES):
        graph = Inliner(graph_def, control_flow=True, taken=taken).graph(wanted)
        axes = BatchAxes(graph, graph_def.library, inputs)
        new = decided(graph.choices, axes.fixed).items() - taken.items()
        if not new:
            break
        taken |= dict(new)
    running = live(graph.nodes, axes.fixed)
    scoring = needed(running.values(), [*graph.outputs, *graph.decisions])
    return Opened(
        graph,
        axes,
        Layers(graph.nodes.values(), graph.origins),
        inputs,
        dict(zip(names, graph.outputs, strict=True)),
        frozenset(node.name for node in scoring),
        _chosen_by(graph, inputs),
    )


def _chosen_by(graph: Inlined, inputs: Mapping[str, tf.TensorSpec]) -> dict[str, frozenset[str]]:
    fed = {tensor.rpartition(":")[0]: spec for tensor, spec in inputs.items()}
    deciding: dict[str, frozenset[str]] = {}

    def inputs_of(selector: str) -> frozenset[str]:
        """The inputs that a choice depends on; none where one of them has rows."""
        if selector not in deciding:
            before = {node.name for node in needed(graph.nodes.values(), [selector])}
            found = [spec for name, spec in fed.items() if name in before]
            scalar = all(spec.shape.rank == 0 for spec in found)
            deciding[selector] = frozenset(spec.name for spec in found if scalar)
        return deciding[selector]

    return {
        name: frozenset[str]().union(*(inputs_of(selector) for selector, _ in labels))
        for name, labels in conditions(graph.nodes, graph.choices).items()
        if labels
    }
