"""Where a Keras model uses its layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import keras

from tfnorm._keras import (
    Node,
    is_told_to_train,
    layers_inside,
    masks_given,
    producer,
    runs_keras_call,
)
from tfnorm.errors import InputError


@dataclass(frozen=True, eq=False)
class Graph:
    """The calls that a functional or sequential model consists of.

    Attributes:
        readers: id of a Keras tensor -> the nodes, which are Keras's record of a call, that read it;
            None where the model returns it.
        called_from_python: whether nothing but Python code tells when and how the model is called.
    """

    readers: dict[int, list[Node | None]]
    called_from_python: bool


@dataclass(frozen=True, eq=False)
class Structure:
    """A model's graphs, nested ones included, and the layers that are in none.

    Attributes:
        uses: operation -> the graph and the node of each of its calls.
        hidden: layer -> the layer whose Python code calls it.
    """

    uses: dict[keras.Operation, list[tuple[Graph, Node]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    hidden: dict[keras.layers.Layer, keras.layers.Layer] = field(default_factory=dict)

    def layers(self) -> Iterator[keras.layers.Layer]:
        """Every layer, those of graphs first and in their order."""
        yield from (op for op in self.uses if isinstance(op, keras.layers.Layer))
        yield from (layer for layer in self.hidden if layer not in self.uses)


def structure(model: keras.Model) -> Structure:
    """Find the graphs of a model."""
    found = Structure()
    if is_graph(model):
        _add_graph(found, model, called_from_python=False)
    else:
        _hide(found, model)
    return found


def check_inference(found: Structure) -> None:
    """Raise InputError if a graph has a layer train always.

    `model(x)` heeds the training=True that the layer is called with, `model.predict(x)` overrides it:
    which of them the scores that are served should equal, nobody can tell from the model.
    """
    for operation, calls in found.uses.items():
        if any(is_told_to_train(node) for _, node in calls):
            raise InputError(
                f"layer {operation.name!r} ({type(operation).__name__}) is called with training=True, "
                "which model(x) heeds and model.predict(x) does not, so that it has two scores; "
                "build the model without it, and load the weights into that"
            )


def tables_of(found: Structure, tensor: keras.KerasTensor | None) -> list[int]:
    """The rows of each embedding table that is asked for the ids in a Keras tensor."""
    return [
        operation.input_dim
        for operation, calls in found.uses.items()
        for _, node in calls
        if isinstance(operation, keras.layers.Embedding) and node.input_tensors[0] is tensor
    ]


def read_by(node: Node) -> list[keras.KerasTensor]:
    """What a call reads, apart from a mask."""
    masks = {id(mask) for mask in masks_given(node)}
    return [tensor for tensor in node.input_tensors if id(tensor) not in masks]


def _add_graph(found: Structure, model: keras.Model, called_from_python: bool) -> None:
    outputs = keras.tree.flatten(model.outputs)
    nodes = nodes_of(outputs)
    readers: dict[int, list[Node | None]] = defaultdict(list)
    for node in nodes:
        for tensor in node.input_tensors:
            readers[id(tensor)].append(node)
    for tensor in outputs:
        readers[id(tensor)].append(None)
    graph = Graph(dict(readers), called_from_python)
    for node in nodes:
        operation = node.operation
        known = operation in found.uses
        found.uses[operation].append((graph, node))
        if known or not isinstance(operation, keras.layers.Layer):
            continue
        if is_graph(operation):
            _add_graph(found, operation, called_from_python)
        else:
            _hide(found, operation)


def _hide(found: Structure, layer: keras.layers.Layer) -> None:
    for inner in layers_inside(layer):
        if inner in found.hidden:
            continue
        found.hidden[inner] = layer
        if is_graph(inner):
            _add_graph(found, inner, called_from_python=True)
        else:
            _hide(found, inner)


def is_graph(layer: keras.Operation) -> bool:
    """Whether `layer` is a model that runs its graph, not Python code of its own."""
    return isinstance(layer, keras.Model) and hasattr(layer, "outputs") and runs_keras_call(layer)


def nodes_of(outputs: list[keras.KerasTensor]) -> list[Node]:
    """The calls that outputs need, each after those that it needs itself."""
    ordered: dict[int, Node] = {}
    pending = [(producer(tensor), False) for tensor in reversed(outputs)]
    while pending:
        node, ready = pending.pop()
        if id(node) in ordered:
            continue
        if ready:
            ordered[id(node)] = node
            continue
        pending.append((node, True))
        pending += [(producer(tensor), False) for tensor in reversed(node.input_tensors)]
    return list(ordered.values())
