"""Runs a model as in inference, and sees what its layers with moving statistics are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import all_layers, probe_detector, replaced_calls
from tfnorm._tensorflow import (
    captured,
    inlined_functions,
    variable_handles,
    vectorized_map_detector,
)
from tfnorm.errors import InputError
from tfnorm.scorers.messages import one_line
from tfnorm.statistics.observation.dependence import flows
from tfnorm.statistics.observation.moving import Population, moving_variables, statistics_layers
from tfnorm.statistics.observation.sums import Sums
from tfnorm.statistics.observation.time_distributed import all_steps_at_once
from tfnorm.statistics.observation.watched import watched

REFUSALS = (TypeError, ValueError, LookupError, AttributeError, tf.errors.OpError)
"""What a model raises when a batch doesn't fit it."""


class Observer:
    """Runs a model over batches; what its statistics layers are given is added up, exactly.

    However the model is written: while it runs, each statistics layer shows what it is given. At the end
    of a pass nothing in the model is changed.

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
        by_batch: those that normalized by the batch in the last pass all the same: they were called with
            `training=True`, or what is as true, and are not frozen.
        called_again: whether a layer was called more than once, or inside a loop.
        examples: how many the last pass had.
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
        for layer, name in self.names.items():
            if not layer.moving_mean.shape[0]:
                raise InputError(
                    f"layer {name!r} of model {model.name!r} has no channels: its inputs have the size 0 "
                    f"along axis {layer.axis}; accepted: 1 or more"
                )
        self.by_batch: set[keras.layers.Layer] = set()
        self.called_again = False
        self.examples = 0
        self._sums = {layer: Sums(layer) for layer in self.layers}
        self._called: list[keras.layers.Layer] = []
        self._calls: Counter[keras.layers.Layer] = Counter()
        self._graph: tf.Graph | None = None
        self._graphs: list[tf.Graph] = []
        self._upstream: dict[Any, Mapping[Any, frozenset[keras.layers.Layer]] | None] = {}
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
        self.examples = 0
        self.by_batch.clear()
        empty = True
        with self._kept_statistics(), self._observing():
            for x in batches:
                if empty:
                    self._centre(x)
                    empty = False
                self.examples += self._run(x)
                advance()
        if empty:
            raise InputError("the dataset has no batches")
        self._check_all_seen()
        self.by_batch |= {layer for layer, sums in self._sums.items() if sums.by_batch}
        self.layers.sort(key=self._place)
        return {layer: self._sums[layer].population() for layer in self.layers}

    def standard_error(self, layer: keras.layers.Layer) -> np.ndarray:
        """`[C]`, that of the means that the last pass has found: inf for one example, NaN for none."""
        return self._sums[layer].standard_error()

    def upstream(
        self, layers: Collection[keras.layers.Layer]
    ) -> Mapping[keras.layers.Layer, frozenset[keras.layers.Layer]] | None:
        """Those of the layers on whose statistics the inputs of each depend, which the model's graphs tell.

        None where that isn't known: the model runs eagerly, or calls a layer from Python in the middle of a
        run, or none.
        """
        key = len(self._graphs), frozenset(layers)
        if key not in self._upstream:
            found = flows(
                self._graphs,
                {x: [h for v in moving_variables(x) for h in _handles(v)] for x in layers},
                {x: variable_handles(self._sums[x].variable) for x in layers},
            )
            complete = found is not None and found.keys() == set(layers)
            self._upstream[key] = found if complete else None
        return self._upstream[key]

    def _centre(self, x: Any) -> None:
        """Start afresh, with the sums taken from the means of the first batch."""
        for sums in self._sums.values():
            sums.reset()
        self._run(x)
        for sums in self._sums.values():
            sums.reset(sums.population().mean)

    def _run(self, x: Any) -> int:
        """Run the model on a batch; how many examples it has."""
        try:
            tensors = keras.tree.map_structure(_tensor, x)
            examples = _examples(tensors)
            self._step(tensors, tf.constant(examples))
        except InputError as error:
            # Keras adds lines on where it was raised.
            raise InputError(one_line(error)) from error
        except REFUSALS as error:
            raise InputError(
                f"model {self.model.name!r} can't run on a batch of {_described(x)}: {one_line(error)}"
            ) from error
        return examples

    def _infer(self, x: Any, examples: tf.Tensor) -> None:
        self._graph = tf.compat.v1.get_default_graph()
        if not tf.executing_eagerly():
            self._graphs.append(self._graph)
        self._calls.clear()
        for sums in self._sums.values():
            sums.begin(examples)
        with inlined_functions():
            self.model(x, **self._training)
        for sums in self._sums.values():
            sums.end()

    @contextmanager
    def _observing(self) -> Iterator[None]:
        wrappers = {
            layer: all_steps_at_once(layer)
            for layer in all_layers(self.model)
            if isinstance(layer, keras.layers.TimeDistributed)
        }
        with replaced_calls(wrappers), watched({x: self._observer(x) for x in self.layers}):
            yield

    def _observer(self, layer: keras.layers.Layer) -> Callable[..., None]:
        """What adds up a layer's inputs."""

        def observe(inputs: tf.Tensor, mask: tf.Tensor | None, by_batch: bool) -> None:
            if not self._is_probe():
                self._note_call(layer)
                self._sums[layer].add(inputs, mask, by_batch)

        return observe

    def _note_call(self, layer: keras.layers.Layer) -> None:
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
            self.called_again = True

    def _check_all_seen(self) -> None:
        """Refuse a model that uses the statistics of a layer which did not show what they normalize."""
        used = {id(outside) for graph in self._graphs for outside, _ in captured(graph)}
        for layer in self.layers:
            if layer not in self._called and used & set(map(id, _handles(layer.moving_mean))):
                raise InputError(
                    f"the statistics of layer {self.names[layer]!r} are used where its inputs can't be seen: "
                    "in a function that was traced before (get_concrete_function), or not by the layer; "
                    "call the layer itself, or a tf.function that does"
                )

    def _place(self, layer: keras.layers.Layer) -> int:
        return self._called.index(layer) if layer in self._called else len(self._called)

    @contextmanager
    def _kept_statistics(self) -> Iterator[None]:
        """A layer that is called with `training=True` moves its statistics: put them back.

        That tells of one that was so called out of sight too, as by the `call` of a class derived from
        Keras's layer.
        """
        kept = [(x, v, v.numpy()) for x in self.layers for v in moving_variables(x)]
        try:
            yield
        finally:
            for layer, variable, value in kept:
                if not np.array_equal(variable.numpy(), value, equal_nan=True):
                    self.by_batch.add(layer)
                    variable.assign(value)


def _tensor(v: Any) -> tf.Tensor | tf.RaggedTensor | tf.SparseTensor:
    return v if tf.is_tensor(v) else tf.convert_to_tensor(v)


def _described(x: Any) -> str:
    return str(keras.tree.map_structure(_dtype_and_shape, x))


def _dtype_and_shape(v: Any) -> str:
    return f"{v.dtype.name} {list(v.shape)}" if hasattr(v, "dtype") else type(v).__name__


def _examples(x: Any) -> int:
    """How many examples a batch has: the length of the first tensor's first axis."""
    first = next((t for t in keras.tree.flatten(x) if t.shape.rank), None)
    return 0 if first is None else int(first.shape[0])


def _handles(variable: keras.Variable) -> list[tf.Tensor]:
    return variable_handles(variable.value)
