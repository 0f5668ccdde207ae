"""Trace a graph again, with other ops in place of some of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from graphlib import TopologicalSorter

import tensorflow as tf

from tfnorm._tensorflow import COLOCATED, GRADIENT, function_graph, make_callable_here

# An op and its inputs in the new graph -> its output there, or None to keep it.
Replacement = Callable[[tf.Operation, Sequence[tf.Tensor]], tf.Tensor | None]


def replay(
    graph: tf.Graph,
    feeds: Sequence[tf.Tensor],
    outputs: Sequence[tf.Tensor],
    replacements: Mapping[str, Replacement],
) -> list[tf.Tensor]:
    """Compute what a function's graph computes.

    Args:
        graph: of a `tf.function`.
        feeds: a tensor for each of its inputs.
        outputs: tensors of `graph`.
        replacements: op type -> what replaces ops of that type, which have one output, here and in
            the functions that are called and the bodies of loops.

    Returns:
        A tensor for each of the outputs.
    """
    made = {tensor.ref(): feed for tensor, feed in zip(graph.inputs, feeds, strict=True)}
    done: dict[tf.Operation, list[tf.Operation]] = {}
    # Control inputs may be younger than the ops that wait for them.
    order = TopologicalSorter(
        {
            op: [*(tensor.op for tensor in op.inputs), *op.control_inputs]
            for op in graph.get_operations()
        }
    )
    for op in order.static_order():
        if any(tensor.ref() in made for tensor in op.outputs):
            done[op] = []
            continue
        inputs = [made[tensor.ref()] for tensor in op.inputs]
        before = [copied for source in op.control_inputs for copied in done[source]]
        with tf.control_dependencies(before):
            new, done[op] = _make(op, inputs, replacements)
        for old_output, output in zip(op.outputs, new, strict=True):
            output.set_shape(old_output.shape)
            made[old_output.ref()] = output
    return [made[output.ref()] for output in outputs]


def copy(
    op: tf.Operation, inputs: Sequence[tf.Tensor], functions: Callable[[str], str] = str
) -> tf.Operation:
    """The same op on other inputs; `functions` renames the functions that it calls."""
    attributes = {}
    for name, value in op.node_def.attr.items():
        # The names of ops to be placed with, which have others here; a gradient, of no use to a server.
        if name in (COLOCATED, GRADIENT):
            continue
        attribute = tf.compat.v1.AttrValue.FromString(value.SerializeToString())
        called = [attribute.func] if attribute.HasField("func") else attribute.list.func
        for function in called:
            function.name = functions(function.name)
        attributes[name] = attribute
    return tf.compat.v1.get_default_graph().create_op(
        op.type, inputs, [output.dtype for output in op.outputs], name=op.name, attrs=attributes
    )


def _make(
    op: tf.Operation, inputs: Sequence[tf.Tensor], replacements: Mapping[str, Replacement]
) -> tuple[Sequence[tf.Tensor], list[tf.Operation]]:
    if op.type in replacements:
        with tf.name_scope(op.name):
            output = replacements[op.type](op, inputs)
        if output is not None:
            return [output], [output.op]
    copied = copy(op, inputs, lambda name: _function(op.graph, name, replacements))
    return copied.outputs, [copied]


def _function(graph: tf.Graph, name: str, replacements: Mapping[str, Replacement]) -> str:
    """Replay a function that `graph` calls; the name to call it by from the current graph."""
    body = function_graph(graph, name)
    replayed = tf.function(
        lambda *feeds: replay(body, feeds, body.outputs, replacements),
        input_signature=[tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in body.inputs],
        autograph=False,
    ).get_concrete_function()
    return make_callable_here(replayed)
