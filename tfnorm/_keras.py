"""Every private or undocumented name of Keras that tfnorm uses, each behind what says its meaning.

tests/test_foundations.py holds each of them against the Keras that is installed. Where a name can only be
guessed at, what guesses it is tried out before its first use, and raises rather than guess wrong.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import operator
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeGuard

import keras
import tensorflow as tf
from keras.src import backend
from keras.src.saving import saving_lib

EXPORTED_AGAIN = "_all_variables/"
"""What the keys of variables begin with that Keras's export archive keeps a second time."""

_LARGE = 1 << 24
"""From how many bytes on the values of a variable have no room beside it."""

_RNN, _LOOP, _TURN, _UNROLLED = ("tensorflow", "rnn.py"), "rnn", "_step", "unroll"
_CORE, _SIGNATURE = ("tensorflow", "core.py"), "get_fn_output_signature"


class Node(Protocol):
    """Keras's record of one call of a layer or an operation, from which functional models are made."""

    operation: keras.Operation
    input_tensors: Sequence[keras.KerasTensor]
    outputs: Sequence[keras.KerasTensor]
    arguments: Any


def producer(tensor: keras.KerasTensor) -> Node:
    """The node that makes a Keras tensor."""
    operation, index, _ = tensor._keras_history
    node: Node = operation._inbound_nodes[index]
    return node


def filled_in(node: Node, values: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, by position and by name, with `values` (by id) for Keras tensors."""
    arguments, named = node.arguments.fill_in(values)
    return arguments, named


def masks_given(node: Node) -> list[Any]:
    """What a call is given as `mask`, flat; an empty list where it is given none."""
    return list(keras.tree.flatten(node.arguments.kwargs.get("mask", ())))


def is_told_to_train(node: Node) -> bool:
    """Whether a call is given training=True, other than by the layer's own default."""
    parameter = inspect.signature(node.operation.call).parameters.get("training")
    return bool(node.arguments.kwargs.get("training")) and not (parameter and parameter.default)


def masks_carried(node: Node) -> list[Any]:
    """The mask that each tensor of a call's first argument carries, None where it has none."""
    tensors = keras.tree.flatten(node.arguments.args[:1])
    return [getattr(tensor, "_keras_mask", None) for tensor in tensors]


def all_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A layer or model, and the layers in it at any depth; one that is shared comes once."""
    return list(layer._flatten_layers())


def layers_inside(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers that are held by a layer or model itself, not by others in it."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def lookup_tables(model: keras.Model) -> Iterator[tf.saved_model.experimental.TrackableResource]:
    """The tables of StringLookup and its like, which keep them as attributes."""
    kind = tf.saved_model.experimental.TrackableResource
    for layer in all_layers(model):
        for value in vars(layer).values():
            values = value if isinstance(value, list | tuple) else [value]
            yield from (table for table in values if isinstance(table, kind))


def runs_keras_call(layer: keras.layers.Layer) -> bool:
    """Whether a layer's or model's `call` is Keras's own, not that of a class derived from it."""
    owner = next(cls for cls in type(layer).__mro__ if "call" in vars(cls))
    return owner.__module__.partition(".")[0] == "keras"


def is_symbolic(model: keras.Model) -> bool:
    """Whether Keras tensors stand for the inputs, as in functional and most sequential models."""
    by_keras = isinstance(getattr(type(model), "inputs", None), property)
    return by_keras and hasattr(model, "inputs")


def output_names(model: keras.Model) -> list[str] | None:
    """The names that a functional model has for its outputs, or another by its own hand; else None."""
    if isinstance(model, keras.Function):
        return list(model.output_names)
    return getattr(model, "output_names", None)


def built_shape(model: keras.Model) -> Any:
    """The shape, or the structure of shapes, of the first argument of the call that built a model."""
    return (model.get_build_config() or {}).get("input_shape")


def has_other_weights(layer: keras.layers.Layer) -> bool:
    """Whether a layer computes with more than its kernel and bias: by LoRA, or quantized."""
    return bool(getattr(layer, "lora_enabled", False)) or (
        getattr(layer, "quantization_mode", None) is not None
    )


def has_replaced_call(operation: keras.Operation) -> bool:
    """Whether this instance has a `call` of its own in the place of its class's."""
    return "call" in vars(operation)


@contextmanager
def replaced_calls(calls: Mapping[keras.layers.Layer, Callable[..., Any]]) -> Iterator[None]:
    """Let layers run other functions than their `call` for as long as this lasts."""
    # In the instance's own __dict__, past Keras's attribute tracking: it doesn't let go of a built layer.
    before = {layer: vars(layer)["call"] for layer in calls if has_replaced_call(layer)}
    for layer, call in calls.items():
        vars(layer)["call"] = call
    try:
        yield
    finally:
        for layer in calls:
            del vars(layer)["call"]
            if layer in before:
                vars(layer)["call"] = before[layer]


class _Loading(threading.local):
    depth = 0


_loading = _Loading()
_loading_threads = [0]
_lock = threading.Lock()
_initialize = backend.Variable._initialize_with_initializer
_assign = backend.Variable.assign
_is_memory_sufficient = saving_lib.is_memory_sufficient
# Keras 3.6 has another class for it, whose entries stay on the disk until they are assigned.
_entry: Any = getattr(saving_lib.H5IOStore, "__getitem__", None)
_dataset = getattr(saving_lib, "safe_get_h5_dataset", operator.getitem)


@contextmanager
def loading_in_place() -> Iterator[None]:
    """The large weights of `.keras` files that this thread loads meanwhile are read into their variables.

    Keras draws their first values, reads the file into memory, of that each weight into an array, and makes
    a tensor of it: seven times the memory that the model takes in the end.
    """
    with _lock:
        _loading_threads[0] += 1
        _patch(_initialize_with_zeros, _assign_in_parts, _is_small, _entry_on_disk)
    _loading.depth += 1
    try:
        yield
    finally:
        _loading.depth -= 1
        with _lock:
            _loading_threads[0] -= 1
            if not _loading_threads[0]:
                _patch(_initialize, _assign, _is_memory_sufficient, _entry)


def _patch(initialize: Any, assign: Any, is_memory_sufficient: Any, entry: Any) -> None:
    backend.Variable._initialize_with_initializer = initialize
    backend.Variable.assign = assign
    saving_lib.is_memory_sufficient = is_memory_sufficient
    if _entry is not None:
        saving_lib.H5IOStore.__getitem__ = entry


def _initialize_with_zeros(variable: keras.Variable, initializer: Any) -> None:
    if _loading.depth and _bytes(variable.shape, variable.dtype) >= _LARGE:
        initializer = keras.initializers.Zeros()
    _initialize(variable, initializer)


def _is_small(model: keras.Model) -> bool:
    """Whether the file may be read into memory; Keras reads another from the disk."""
    size = sum(_bytes(variable.shape, variable.dtype) for variable in model.variables)
    return (not _loading.depth or size < _LARGE) and _is_memory_sufficient(model)


def _entry_on_disk(store: Any, key: str) -> Any:
    if not _loading.depth:
        return _entry(store, key)
    found = _dataset(store._h5_entry_group, key)
    # What NumPy has no dtype for is stored as another.
    in_parts = found.nbytes >= _LARGE and "dtype" not in found.attrs
    return found if in_parts else _entry(store, key)


def _assign_in_parts(variable: keras.Variable, value: Any) -> Any:
    large = _loading.depth and isinstance(value, saving_lib.h5py.Dataset) and value.nbytes >= _LARGE
    same = large and (value.shape, value.dtype) == (tuple(variable.shape), variable.dtype)
    if not same or tf.distribute.has_strategy():
        return _assign(variable, value)
    rows = max(1, _LARGE // 8 * len(value) // value.nbytes)
    for start in range(0, len(value), rows):
        part = value[start : start + rows]
        # `variable[rows].assign` would copy the variable first.
        tf.raw_ops.ResourceStridedSliceAssign(
            ref=variable.handle, begin=[start], end=[start + len(part)], strides=[1], value=part
        )
    # It has left the variable to be copied whenever it is read.
    tf.raw_ops.DisableCopyOnRead(resource=variable.handle)
    return variable.value


def _bytes(shape: Sequence[int], dtype: str) -> int:
    return math.prod(shape) * int(tf.as_dtype(dtype).size)


def is_variable(value: object) -> TypeGuard[keras.Variable]:
    """Whether it is a variable of Keras; those of Keras 3.6 are no instances of `keras.Variable`."""
    return isinstance(value, backend.Variable)


def keep_best(stopping: keras.callbacks.EarlyStopping, best: float | None) -> None:
    """Have early stopping compare with what was best; Keras 3.6 forgets it as the first epoch ends."""
    learn = stopping._set_monitor_op

    def learn_and_keep() -> None:
        learn()
        stopping.best = best

    stopping.best, stopping._set_monitor_op = best, learn_and_keep


def loss_metric(model: keras.Model) -> keras.metrics.Metric:
    """The mean of the loss that `fit` reports, of a compiled model."""
    return next(metric for metric in model.metrics if metric.name == "loss")


def scaled_loss(loss: tf.Tensor) -> tf.Tensor:
    """A replica's loss as `compute_loss` has it: newer Keras divides it by the number of replicas."""
    return loss / tf.cast(_shares(), loss.dtype)


def unscaled_loss(loss: tf.Tensor) -> tf.Tensor:
    """What `compute_loss` gives, as it is without a strategy."""
    return loss * tf.cast(_shares(), loss.dtype)


def _shares() -> int:
    losses = importlib.import_module("keras.src.losses.loss")
    known = hasattr(losses, "scale_loss_for_distribution")
    return int(tf.distribute.get_strategy().num_replicas_in_sync) if known else 1


def adam_moments(
    optimizer: keras.optimizers.Adam, variable: tf.Variable
) -> tuple[keras.Variable, keras.Variable]:
    """What Adam keeps of a variable's gradients: their mean and the mean of their squares."""
    index = optimizer._get_variable_index(variable)
    return optimizer._momentums[index], optimizer._velocities[index]


@functools.cache
def probe_detector() -> Callable[[], bool]:
    """What tells whether the caller runs in a call of a loop's body that is no turn of the loop.

    `keras.layers.RNN`, unless unrolled, and `keras.ops.map` call their body once more, on the first
    element, to learn what it returns. Nothing tells such a call from a turn but who makes it.

    Raises:
        RuntimeError: Keras's loops don't look as expected: a layer inside one would be seen once too
            often, or not at all.
    """
    seen = _seen_in_loops()
    expected = {loop: [True, False] for loop in ("RNN", "masked_RNN", "map")}
    expected["unrolled_RNN"] = [False, False]
    if unknown := [loop for loop, calls in expected.items() if seen[loop] != calls]:
        raise RuntimeError(
            f"tfnorm does not know how Keras {keras.__version__} runs its loops ({', '.join(unknown)}), "
            "so what layers inside them are given can't be told; use a release of Keras that this tfnorm "
            "was made for, as its setup.cfg says"
        )
    return _is_probe


def _is_probe() -> bool:
    turns = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        code = frame.f_code
        file = Path(code.co_filename).parts[-2:]
        if file == _RNN and code.co_name == _TURN:
            turns += 1
        elif file == _RNN and code.co_name == _LOOP:
            if turns:
                turns -= 1
            elif not frame.f_locals.get(_UNROLLED):
                return True
        elif file == _CORE and code.co_name == _SIGNATURE:
            return True
        frame = frame.f_back
    return False


def _seen_in_loops() -> dict[str, list[bool]]:
    """What `_is_probe` says in each call of the body of each of Keras's loops, as a graph is traced."""
    seen: dict[str, list[bool]] = {}

    class Cell(keras.layers.Layer):
        state_size = output_size = 1

        def call(self, inputs: tf.Tensor, states: list[tf.Tensor]) -> Any:
            seen.setdefault(self.name, []).append(_is_probe())
            return inputs, states

    def recurrent(name: str, **settings: Any) -> keras.layers.RNN:
        # Named, so that the user's layers are numbered as if these had not been.
        cell = Cell(name=name, dtype="float32")
        return keras.layers.RNN(cell, name="tfnorm_canary", dtype="float32", **settings)

    def mapped(x: tf.Tensor) -> tf.Tensor:
        seen.setdefault("map", []).append(_is_probe())
        return x

    def trace() -> None:
        x = tf.ones([1, 2, 1])
        recurrent("RNN")(x)
        recurrent("masked_RNN")(x, mask=tf.ones([1, 2], tf.bool))
        recurrent("unrolled_RNN", unroll=True)(x)
        keras.ops.map(mapped, x)

    tf.function(trace, autograph=False).get_concrete_function()
    return seen
