"""Runs a model as in inference, and sees what its layers with moving statistics are given."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import all_layers, probe_detector, replaced_calls
from tfnorm._tensorflow import vectorized_map_detector
from tfnorm.errors import InputError
from tfnorm.ops.moments import Moments, channel_moments
from tfnorm.scorers.messages import one_line
from tfnorm.statistics.observation.moving import Population, moving_variables, statistics_layers
from tfnorm.statistics.observation.time_distributed import all_steps_at_once

REFUSALS = (TypeError, ValueError, LookupError, AttributeError, tf.errors.OpError)
"""What a model raises when a batch doesn't fit it."""


class Observer:
    """Runs a model over batches; what its statistics layers are given is added up, exactly.

    However the model is written: while it runs, the `call` of each statistics layer is replaced by
    one that looks at the inputs first. At the end of a pass nothing in the model is changed.

    Args:
        model: a built model.
        training: what the model is called with. None is how an export calls it: a layer that is
            called with `training=True` inside it stays so. False is how `predict` does.

    Raises:
        InputError: it is not built, or has no layer with moving statistics.

    Attributes:
        layers: those with moving statistics, in the order in which they were first called, then
            those that no batch has reached.
        names: what to call each.
        by_batch: those that were called with `training=True` all the same.
        feeds_itself: whether a layer may be upstream of itself: it was called more than once, or
            inside a loop.
    """

    def __init__(self, model: keras.Model, *, training: bool | None):
        if not isinstance(model, keras.Model):
            raise InputError(f"model is a {type(model).__name__}; accepted: a built keras.Model")
        if not model.built:
            raise InputError(f"model {model.name!r} has no weights yet; call it on a batch first")
        self.model = model
        self._training = {} if training is None else {"training": training}
        self.names = statistics_layers(model)
        self.layers = list(self.names)
        if not self.layers:
            raise InputError(
                f"model {model.name!r} has no layer with moving statistics: no "
                "tfnorm.BatchNormalization, tfnorm.Dice or keras.layers.BatchNormalization"
            )
        self.by_batch: set[keras.layers.Layer] = set()
        self.feeds_itself = False
        self._sums = {layer: _Sums(layer) for layer in self.layers}
        self._called: list[keras.layers.Layer] = []
        self._calls: Counter[keras.layers.Layer] = Counter()
        self._graph: tf.Graph | None = None
        self._is_probe = probe_detector()
        self._in_vectorized_map = vectorized_map_detector()
        self._step = (
            self._infer
            if model.run_eagerly
            else tf.function(self._infer, autograph=False, reduce_retracing=True)
        )

    def populations(
        self, batches: Iterable[Any], advance: Callable[[], None] = lambda: None
    ) -> dict[keras.layers.Layer, Population]:
        """Run the model over the batches once, with the statistics that it has.

        Args:
            batches: the inputs in each.
            advance: called after each.

        Returns:
            What each of `layers` was given; the layers in the order of `layers`.

        Raises:
            InputError: there is no batch, or the model refuses one.
        """
        empty = True
        with self._kept_statistics(), replaced_calls(self._observing_calls()):
            for x in batches:
                if empty:
                    self._centre(x)
                    empty = False
                self._run(x)
                advance()
        if empty:
            raise InputError("the dataset has no batches")
        self.layers.sort(key=self._place)
        return {layer: self._sums[layer].population() for layer in self.layers}

    def _centre(self, x: Any) -> None:
        """Start afresh, with the sums taken from the means of the first batch."""
        for sums in self._sums.values():
            sums.reset()
        self._run(x)
        for sums in self._sums.values():
            sums.reset(sums.population().mean)

    def _run(self, x: Any) -> None:
        try:
            self._step(keras.tree.map_structure(_tensor, x))
        except InputError:
            raise
        except REFUSALS as error:
            raise InputError(
                f"model {self.model.name!r} can't run on a batch of {_described(x)}: {one_line(error)}"
            ) from error

    def _infer(self, x: Any) -> None:
        self._graph = tf.compat.v1.get_default_graph()
        self._calls.clear()
        with _inlined_functions():
            self.model(x, **self._training)

    def _observing_calls(self) -> dict[keras.layers.Layer, Callable[..., Any]]:
        calls = {
            layer: all_steps_at_once(layer)
            for layer in all_layers(self.model)
            if isinstance(layer, keras.layers.TimeDistributed)
        }
        return calls | {layer: self._observing(layer) for layer in self.layers}

    def _observing(self, layer: keras.layers.Layer) -> Callable[..., Any]:
        """The layer's `call`, that adds up its inputs first."""
        call, signature = layer.call, inspect.signature(layer.call)

        def observing(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs).arguments
            if not self._is_probe():
                self._note_call(layer, given)
                inputs = tf.cast(next(iter(given.values())), tf.float64)
                self._sums[layer].add(channel_moments(inputs, layer.axis, given.get("mask")))
            return call(*args, **kwargs)

        return observing

    def _note_call(self, layer: keras.layers.Layer, given: Mapping[str, Any]) -> None:
        if self._in_vectorized_map():
            # What tf.vectorized_map traces runs once, not once an element, and can't add up.
            raise InputError(
                f"layer {self.names[layer]!r} is called inside tf.vectorized_map, where its "
                "inputs can't be seen; use tf.map_fn there"
            )
        self._calls[layer] += 1
        if layer not in self._called:
            self._called.append(layer)
        if self._calls[layer] > 1 or tf.compat.v1.get_default_graph() is not self._graph:
            self.feeds_itself = True
        if given.get("training") is True and layer.trainable:
            self.by_batch.add(layer)

    def _place(self, layer: keras.layers.Layer) -> int:
        return self._called.index(layer) if layer in self._called else len(self._called)

    @contextmanager
    def _kept_statistics(self) -> Iterator[None]:
        """A layer that is called with `training=True` moves its statistics: put them back."""
        kept = [(v, v.numpy()) for layer in self.layers for v in moving_variables(layer)]
        try:
            yield
        finally:
            for variable, value in kept:
                variable.assign(value)


class _Sums:
    """Sums of a layer's inputs, of their deviations from a pivot and of the squares of those.

    Sums can be added to in any order, from inside a loop or a branch too. With a pivot near the
    mean they keep as many digits as merged moments do.
    """

    def __init__(self, layer: keras.layers.Layer):
        channels = layer.moving_mean.shape[0]
        self._pivot = tf.Variable(tf.zeros([channels], tf.float64), trainable=False)
        self._sums = tf.Variable(tf.zeros([4, channels], tf.float64), trainable=False)

    def reset(self, pivot: np.ndarray | float = 0.0) -> None:
        self._pivot.assign(tf.broadcast_to(tf.cast(pivot, tf.float64), self._pivot.shape))
        self._sums.assign(tf.zeros_like(self._sums))

    def add(self, part: Moments) -> None:
        shift = part.mean - self._pivot
        total = part.count * shift
        called = tf.cast(part.count > 0, tf.float64)
        self._sums.assign_add(tf.stack([part.count, total, part.M2 + total * shift, called]))

    def population(self) -> Population:
        count, total, squares, updates = self._sums.numpy()
        shift = total / np.maximum(count, 1)
        deviations = np.maximum(squares - total * shift, 0)
        return Population(count, self._pivot.numpy() + shift, deviations, updates)


@contextmanager
def _inlined_functions() -> Iterator[None]:
    """Every tf.function called here becomes part of the graph around it.

    One that was traced before would not call what replaces `call`; one that wasn't would keep it.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _tensor(v: Any) -> tf.Tensor | tf.RaggedTensor | tf.SparseTensor:
    return v if tf.is_tensor(v) else tf.convert_to_tensor(v)


def _described(x: Any) -> str:
    return str(keras.tree.map_structure(_dtype_and_shape, x))


def _dtype_and_shape(v: Any) -> str:
    return f"{v.dtype.name} {list(v.shape)}" if hasattr(v, "dtype") else type(v).__name__
