"""A functional model's graph, run with a row for each user as far as nothing of a candidate is needed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfnorm._keras import Node, filled_in
from tfnorm.errors import InputError
from tfnorm.export.candidates.forms import attention_form, evolution_form
from tfnorm.export.candidates.rows import Rows
from tfnorm.export.structure import is_graph, nodes_of


@dataclass(frozen=True, eq=False)
class Value:
    """What stands for a Keras tensor.

    Attributes:
        tensor: the value.
        of_candidates: whether it has rows for each candidate; else it has rows for each user.
    """

    tensor: tf.Tensor
    of_candidates: bool


class Evaluation:
    """Runs graphs of Keras calls in inference mode.

    A call that reads something of candidates is given what it reads of users once for each of them. The
    attention and the evolution of `tfnorm.models` need not be.

    Args:
        rows: the users and the candidates.
        shared: whether layers may compute in another order, what candidates share once.
        ran: is called after each layer, with whether it was given rows for each candidate.
    """

    def __init__(self, rows: Rows, *, shared: bool, ran: Callable[[bool], None]):
        self._rows = rows
        self._shared = shared
        self._ran = ran

    def outputs(self, model: keras.Model, inputs: Sequence[Value]) -> list[Value]:
        """The model's outputs, flat, of its inputs, flat."""
        outputs = keras.tree.flatten(model.outputs)
        values = _Values(zip(model.inputs, inputs, strict=True))
        for node in nodes_of(outputs):
            if all(id(tensor) in values for tensor in node.outputs):
                continue
            if self._may_stay_apart(node, values):
                values.apart[id(node.outputs[0])] = node
            else:
                self._run(node, values)
        return [self._value(tensor, values) for tensor in outputs]

    def _run(self, node: Node, values: _Values) -> None:
        """Have the values of what a call gives."""
        made = self._evolved(node, values)
        if made is None:
            for tensor in node.input_tensors:
                self._value(tensor, values)
            made = self._inside(node, values) or self._attended(node, values)
        if made is None:
            read = [values[id(tensor)] for tensor in node.input_tensors]
            of_candidates = any(value.of_candidates for value in read)
            tensors = {
                id(tensor): self._spread(tensor, value) if of_candidates else value.tensor
                for tensor, value in zip(node.input_tensors, read, strict=True)
            }
            given = keras.tree.flatten(_called(node, tensors))
            self._ran(of_candidates)
            made = [Value(tensor, of_candidates) for tensor in given]
        for tensor, value in zip(node.outputs, made, strict=True):
            if not isinstance(value.tensor, tf.Tensor):
                raise InputError(
                    f"layer {node.operation.name!r} gives a {type(value.tensor).__name__}; accepted for "
                    "candidates: dense tensors"
                )
            values[id(tensor)] = value

    def _value(self, tensor: keras.KerasTensor, values: _Values) -> Value:
        if id(tensor) not in values:
            self._run(values.apart.pop(id(tensor)), values)
        return values[id(tensor)]

    def _spread(self, tensor: keras.KerasTensor, value: Value) -> tf.Tensor:
        """The value for each candidate; what has no rows is the same for all."""
        if value.of_candidates or not tensor.shape or tensor.shape[0] is not None:
            return value.tensor
        return self._rows.spread(value.tensor)

    def _may_stay_apart(self, node: Node, values: _Values) -> bool:
        """Whether it is a concatenation of what there is of users and of candidates."""
        if not self._shared or not isinstance(node.operation, keras.layers.Concatenate):
            return False
        if any(id(tensor) not in values for tensor in node.input_tensors):
            return False
        of_candidates = [values[id(tensor)].of_candidates for tensor in node.input_tensors]
        return any(of_candidates) and not all(of_candidates)

    def _evolved(self, node: Node, values: _Values) -> list[Value] | None:
        """What an evolution gives of the parts of a concatenation."""
        joined = values.apart.get(id(node.input_tensors[0])) if node.input_tensors else None
        if joined is None:
            return None
        parts = [values[id(tensor)] for tensor in joined.input_tensors]
        form = evolution_form(node.operation, [part.of_candidates for part in parts])
        if form is None:
            return None
        return [Value(form(self._rows, *(part.tensor for part in parts)), True)]

    def _attended(self, node: Node, values: _Values) -> list[Value] | None:
        if not self._shared:
            return None
        read = [values[id(tensor)] for tensor in node.input_tensors]
        form = attention_form(node.operation, [value.of_candidates for value in read])
        if form is None:
            return None
        return [Value(form(self._rows, *(value.tensor for value in read)), True)]

    def _inside(self, node: Node, values: _Values) -> list[Value] | None:
        """What a model in the model gives; None where nothing tells which of its inputs is which."""
        model = node.operation
        if not is_graph(model):
            return None
        positional, _ = filled_in(node, values)
        structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        read = keras.tree.flatten(positional)
        try:
            keras.tree.assert_same_structure((structure,), positional)
        except (TypeError, ValueError):
            return None
        if [id(value) for value in read] != [id(values[id(t)]) for t in node.input_tensors]:
            return None
        if any(
            v.tensor.shape.rank != len(t.shape) for v, t in zip(read, model.inputs, strict=True)
        ):
            return None
        inputs = [
            Value(tf.cast(value.tensor, tensor.dtype), value.of_candidates)
            if value.tensor.dtype != tensor.dtype
            else value
            for value, tensor in zip(read, model.inputs, strict=True)
        ]
        return self.outputs(model, inputs)


class _Values(dict[int, Value]):
    """Id of a Keras tensor -> its value.

    Attributes:
        apart: id of a Keras tensor -> the concatenation that makes it, which nobody has asked for as such.
    """

    def __init__(self, values: Any):
        super().__init__((id(tensor), value) for tensor, value in values)
        self.apart: dict[int, Node] = {}


def _called(node: Node, tensors: Mapping[int, tf.Tensor]) -> Any:
    """What a layer or an operation gives in inference mode."""
    operation = node.operation
    positional, named = filled_in(node, tensors)
    if "training" in inspect.signature(type(operation).call).parameters:
        named = {**named, "training": False}
    return operation(*positional, **named)
