"""From a graph of Keras layers and operations to a program."""

from __future__ import annotations

import inspect
import itertools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from tfnorm._keras import Node, filled_in, masks_carried, masks_given, producer, runs_keras_call
from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import operations
from tfnorm.export.numpy_predictor.call import Call, check_dtype, result_dtype, write
from tfnorm.export.numpy_predictor.program import Program, Value
from tfnorm.export.structure import check_inference, structure
from tfnorm.scorers.inputs import declared


class Translation:
    """A model as a program.

    Attributes:
        program: what the model computes.
        inputs: name -> the variable of an input, in the order in which the program takes them.
        outputs: name -> the variable of an output; the variable itself of an only one.

    Raises:
        InputError: the model is no graph, has a layer without a formula, or calls one with training=True.
    """

    def __init__(self, model: keras.Model):
        _check_graph(model)
        check_inference(structure(model))
        self.program = Program()
        self._paths: dict[str, keras.Operation] = {}
        tensors, _ = declared(model)
        self.inputs = {
            name: Value(self.program.name(name), tensor.dtype, (None, *tensor.shape[1:]))
            for name, tensor in tensors.items()
        }
        names = {id(tensor): name for name, tensor in tensors.items()}
        values = [self.inputs[names[id(tensor)]] for tensor in model.inputs]
        outputs = self._graph(model, values, "")
        self.outputs = _named_outputs(model, outputs)

    def _graph(self, model: keras.Model, inputs: Sequence[Value], prefix: str) -> list[Value]:
        """Write a model's nodes; returns the outputs."""
        values = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=True)}
        for node in _nodes(model.inputs, model.outputs):
            for output in node.outputs:
                check_dtype(node.operation, output.dtype)
            results = self._node(node, values, self._path(node.operation, prefix))
            values.update({id(t): v for t, v in zip(node.outputs, results, strict=True)})
        return [values[id(tensor)] for tensor in model.outputs]

    def _node(self, node: Node, values: dict[int, Value], path: str) -> list[Value]:
        operation = node.operation
        arguments, named = filled_in(node, values)
        bound = inspect.signature(operation.call).bind(*arguments, **named)
        if not isinstance(operation, keras.Layer):
            (output,) = node.outputs
            written = operations.write(self.program, operation, path, output.dtype, bound.args)
            return [Value(self.program.assign(path, written), output.dtype, output.shape)]
        masks = bound.arguments.pop("mask", None)
        bound.arguments.pop("training", None)
        given = [value for value in bound.arguments.values() if value is not None]
        if masks is not None and not _own_masks(node):
            given[0] = keras.tree.map_structure(_masked, given[0], masks)
        if isinstance(operation, keras.Model):
            return self._nested(operation, given, path)
        return self._layer(operation, given, node.outputs, path)

    def _nested(self, model: keras.Model, given: Sequence[Any], path: str) -> list[Value]:
        _check_graph(model)
        tensors = model.inputs
        (values,) = given
        if isinstance(values, Mapping):
            taken, _ = declared(model)
            tensors = list(taken.values())
            values = [values[name] for name in taken]
        values = {
            id(tensor): value.cast(tensor.dtype)
            for tensor, value in zip(tensors, keras.tree.flatten(values), strict=True)
        }
        return self._graph(model, [values[id(tensor)] for tensor in model.inputs], f"{path}/")

    def _layer(
        self,
        layer: keras.Layer,
        given: Sequence[Any],
        outputs: Sequence[keras.KerasTensor],
        path: str,
    ) -> list[Value]:
        given = keras.tree.map_structure(lambda x: self.program.constant(path, x), given)
        values = keras.tree.flatten(given)
        masks = [getattr(value, "mask", None) for value in keras.tree.flatten(given[0])]
        mask = masks if keras.tree.is_nested(given[0]) else masks[0]
        call = Call(layer, path, self.program, mask, outputs[0].shape)
        if not all(isinstance(value, Value) for value in values):
            raise call.refuse("is called with more than tensors", "tensors alone")
        written = write(call, *given)
        if isinstance(written, Value):
            return [written]
        if isinstance(written, str):
            written, dtypes = [written], [result_dtype(layer, values)]
        else:
            dtypes = [output.dtype for output in outputs]
        # Where a layer has several outputs, the first alone has a mask.
        masks = [call.output_mask, *[None] * (len(written) - 1)]
        return [
            Value(self.program.assign(path, expression), dtype, output.shape, mask)
            for expression, dtype, output, mask in zip(written, dtypes, outputs, masks, strict=True)
        ]

    def _path(self, operation: keras.Operation, prefix: str) -> str:
        """What names an operation in the weights; that of a shared one stays the same."""
        path = f"{prefix}{operation.name}"
        while self._paths.setdefault(path, operation) is not operation:
            path += "_"
        return path


def _nodes(inputs: Sequence[keras.KerasTensor], outputs: Sequence[keras.KerasTensor]) -> list[Node]:
    """The nodes between tensors, each after those that it needs, and as late as that."""
    seen = {id(tensor) for tensor in inputs}
    ordered: list[Node] = []
    todo: list[tuple[keras.KerasTensor, Node | None]] = [
        (tensor, None) for tensor in reversed(outputs)
    ]
    while todo:
        tensor, node = todo.pop()
        if node is not None:
            ordered.append(node)
        elif id(tensor) not in seen:
            node = producer(tensor)
            seen.update(map(id, node.outputs))
            todo.append((tensor, node))
            todo += [(needed, None) for needed in reversed(node.input_tensors)]
    return ordered


def _own_masks(node: Node) -> bool:
    """Whether a layer is called with the masks that its inputs have anyway, as Keras notes it."""
    carried, given = masks_carried(node), masks_given(node)
    return len(carried) == len(given) and all(map(operator.is_, carried, given))


def _masked(value: Value, mask: Value | None) -> Value:
    return value if mask is None else replace(value, mask=mask.cast("bool").name)


def _check_graph(model: keras.Model) -> None:
    """Raise InputError unless a model is functional or sequential, built, and takes numbers."""
    if not isinstance(model, keras.Model):
        raise InputError(
            f"model is a {type(model).__module__}.{type(model).__qualname__}; "
            "accepted: a keras.Model"
        )
    if not isinstance(model, (keras.Function, keras.Sequential)) or not runs_keras_call(model):
        raise InputError(
            f"model {model.name!r} ({type(model).__qualname__}) has a call method of its own, "
            "which names no layers; accepted: functional and sequential models"
        )
    if not model.built or not getattr(model, "inputs", None):
        raise InputError(
            f"model {model.name!r} is not built; call it on a batch first, or give it an Input"
        )
    for tensor in model.inputs:
        if tensor.dtype == "string" or tensor.sparse or getattr(tensor, "ragged", False):
            raise InputError(
                f"input {tensor.name!r} holds strings, or is sparse or ragged; "
                "accepted: dense numbers"
            )


def _named_outputs(model: keras.Model, values: Sequence[Value]) -> dict[str, Value] | Value:
    """The outputs by name, or the only one if it has none."""
    if isinstance(model, keras.Sequential):
        (only,) = values
        return only
    outputs: Any = keras.tree.pack_sequence_as(model.output, values)
    if isinstance(outputs, (list, tuple)):
        if len(outputs) == 1:
            (only,) = values
            return only
        named: dict[str, Value] = {}
        for name, output in zip(model.output_names, outputs, strict=True):
            # One layer can give several outputs.
            numbered = (f"{name}_{i}" for i in itertools.count(1))
            named[next(n for n in itertools.chain([name], numbered) if n not in named)] = output
        outputs = named
    flat = outputs.values() if isinstance(outputs, Mapping) else [outputs]
    if not all(isinstance(output, Value) for output in flat):
        raise InputError(
            f"model {model.name!r} has nested outputs; "
            "accepted: one tensor, or a flat list or dict of tensors"
        )
    return dict(outputs) if isinstance(outputs, Mapping) else values[0]
