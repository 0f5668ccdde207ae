"""What must hold of a model, and of its graph, for it to be served."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tfnorm import layers
from tfnorm._keras import all_layers
from tfnorm.errors import InputError
from tfnorm.graph.ops import is_assignment
from tfnorm.session.memory import in_place, parts

_PYTHON = ("EagerPyFunc", "PyFunc", "PyFuncStateless")
_FLOATING = ("bfloat16", "float16", "float32", "float64")
_WITH_STATISTICS = (keras.layers.BatchNormalization, layers.BatchNormalization, layers.Dice)


def check_weights(model: keras.Model) -> None:
    """Raise InputError if a weight has values that are NaN or infinite."""
    for weight in model.weights:
        if weight.dtype not in _FLOATING:
            continue
        value = np.atleast_1d(in_place(weight.value))
        for part in parts(value):
            if not (finite := np.isfinite(value[part])).all():
                first = np.argwhere(~finite)[0] + [part.start, *[0] * (value.ndim - 1)]
                raise InputError(
                    f"weight {weight.path!r} of {model.name!r} is NaN or infinite, first at "
                    f"{first.tolist()}; accepted: finite weights"
                )


def check_statistics(model: keras.Model, read: list[tf.Variable]) -> None:
    """Raise InputError if moving statistics among the variables `read` were never updated.

    Training moves both away from what they were made as. Data whose mean and variance are exactly
    that in every channel don't occur.
    """
    handles = {id(variable) for variable in read}
    untrained = [
        layer.name
        for layer in all_layers(model)
        if isinstance(layer, _WITH_STATISTICS)
        and layer.built
        and id(layer.moving_mean.value) in handles
        and _initial(layer.moving_mean, layer.moving_mean_initializer)
        and _initial(layer.moving_variance, layer.moving_variance_initializer)
    ]
    if untrained:
        raise InputError(
            f"the moving statistics of {', '.join(map(repr, untrained))} are as they were made: "
            "training has never updated them, so scores would be wrong. Train with training=True, "
            "as fit does, or recalibrate them; allow_untrained_statistics=True exports them so"
        )


def _initial(weight: keras.Variable, initializer: keras.initializers.Initializer) -> bool:
    return np.array_equal(weight, initializer(weight.shape, dtype=weight.dtype))


def check_graph(graph: tf.Graph) -> None:
    """Raise InputError unless `graph` has stock ops alone and assigns to no variable."""
    for node in _nodes(graph.as_graph_def()):
        if is_assignment(node.op):
            raise InputError(
                f"{node.name} ({node.op}) changes a variable whenever the model scores; "
                "is a layer stateful, random at inference or called with training=True?"
            )
        if node.op in _PYTHON:
            raise InputError(
                f"{node.name} ({node.op}) runs Python, which TensorFlow Serving can't; "
                "accepted: TensorFlow ops"
            )
        if not hasattr(tf.raw_ops, node.op):
            raise InputError(
                f"{node.name} ({node.op}) is not an op of TensorFlow, "
                "and TensorFlow Serving would not load it"
            )


def _nodes(definition: graph_pb2.GraphDef) -> Iterator[node_def_pb2.NodeDef]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def
