"""The coarsest floating-point type that a graph computes in."""

from __future__ import annotations

from itertools import chain

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from tfnorm.differences import epsilon


def coarsest_type(graph_def: graph_pb2.GraphDef) -> str | None:
    """Its name, such as "float32"; None where there is none at all."""
    functions = (function.node_def for function in graph_def.library.function)
    numbers = {
        attribute.type
        for node in chain(graph_def.node, *functions)
        for attribute in node.attr.values()
        if attribute.WhichOneof("value") == "type"
    }
    kinds = [tf.as_dtype(number) for number in numbers if number]
    names = {(kind.real_dtype if kind.is_complex else kind).name for kind in kinds}
    return max((name for name in names if epsilon(name)), key=epsilon, default=None)
