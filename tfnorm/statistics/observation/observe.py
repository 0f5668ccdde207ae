"""Runs a model as in inference, and sees what its layers with moving statistics are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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
from tfnorm.statistics.observation.batches import Batches, Dataset
from tfnorm.statistics.observation.dependence import flows
from tfnorm.statistics.observation.moving import (
    Statistics,
    digest,
    moving_variables,
    named_layers,
    set_statistics,
)
from tfnorm.statistics.observation.partial import Partial
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
        training: what the model is called with. False is how `predict` does, and what
            `recalibrate_statistics` does; None is how an export calls it: a layer that is called with
            `training=True` inside it stays so, which `statistics_report` tells.

    Raises:
        InputError: it is not built, or has no layer with moving statistics.

    Attributes:
        model: the one that was given.
        names: its layers with moving statistics -> what to call each.

    Example:

        >>> model = keras.Sequential([keras.Input((1,)), BatchNormalization(name="bn")])
        >>> partial = Observer(model).observe({"x": np.array([[1.0], [3.0]])}["x"])
        >>> partial.examples, partial.layers["bn"].mean.tolist()
        (2, [2.0])
    """

    def __init__(self, model: keras.Model, *, training: bool | None = False):
        self.names = named_layers(model)
        self.model = model
        self._training = {} if training is None else {"training": training}
        self._layers = list(self.names)
        self._by_batch: set[keras.layers.Layer] = set()
        self._called_again = False
        self._sums = {layer: Sums(layer) for layer in self._layers}
        self._called: list[keras.layers.Layer] = []
        self._calls: Counter[keras.layers.Layer] = Counter()
        self._graph: tf.Graph | None = None
        self._graphs: list[tf.Graph] = []
        self._upstream: dict[Any, Mapping[str, frozenset[str]] | None] = {}
        self._is_probe = probe_detector()
        self._in_vectorized_map = vectorized_map_detector()
        self._step = (
            self._infer
            if model.run_eagerly
            else tf.function(self._infer, autograph=False, reduce_retracing=True)
        )

    def observe(
        self,
        dataset: Dataset | Batches,
        steps: int | None = None,
        *,
        statistics: Statistics | None = None,
        advance: Callable[[], None] | None = None,
    ) -> Partial:
        """Run the model over batches once, and say what its layers are given.

        Args:
            dataset: batches, as `recalibrate_statistics` takes them.
            steps: how many batches to take at most; None for all.
            statistics: the moving statistics that the model is given for it, and keeps: what
                `Recalibrator.statistics` says. None for those that it has.
            advance: called after each batch; None for nothing.

        Raises:
            InputError: there is no batch, the model refuses one, or the statistics are of another model.
        """
        batches = dataset if isinstance(dataset, Batches) else Batches(dataset, steps)
        if statistics is not None:
            set_statistics(self.names, statistics)
        statistics_before = digest(self.names)
        self._by_batch.clear()
        examples = count = 0
        with self._kept_statistics(), self._observing():
            for x in batches:
                if not count:
                    self._centre(x)
                count += 1
                examples += self._run(x)
                if advance is not None:
                    advance()
        if not count:
            raise InputError("the dataset has no batches")
        self._check_all_seen()
        self._by_batch |= {layer for layer, sums in self._sums.items() if sums.by_batch}
        self._layers.sort(key=self._place)
        return Partial(
            {self.names[layer]: self._sums[layer].population() for layer in self._layers},
            self._upstream_of(frozenset(x for x in self._called if x.trainable)),
            {self.names[layer] for layer in self._by_batch},
            self._called_again,
            examples,
            count,
            statistics_before,
        )

    def _upstream_of(
        self, layers: frozenset[keras.layers.Layer]
    ) -> Mapping[str, frozenset[str]] | None:
        """Those of the layers on whose statistics the inputs of each depend, which the model's graphs tell.

        None where that isn't known: the model runs eagerly, or calls a layer from Python in the middle of a
        run, or none.
        """
        key = len(self._graphs), layers
        if key not in self._upstream:
            found = flows(
                self._graphs,
                {x: [h for v in moving_variables(x) for h in _handles(v)] for x in layers},
                {x: variable_handles(self._sums[x].variable) for x in layers},
            )
            complete = found is not None and found.keys() == layers
            self._upstream[key] = (
                {self.names[x]: frozenset(self.names[y] for y in of) for x, of in found.items()}
                if complete and found is not None
                else None
            )
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
        with replaced_calls(wrappers), watched({x: self._observer(x) for x in self._layers}):
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
            self._called_again = True

    def _check_all_seen(self) -> None:
        """Refuse a model that uses the statistics of a layer which did not show what they normalize."""
        used = {id(outside) for graph in self._graphs for outside, _ in captured(graph)}
        for layer in self._layers:
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
        kept = [(x, v, v.numpy()) for x in self._layers for v in moving_variables(x)]
        try:
            yield
        finally:
            for layer, variable, value in kept:
                if not np.array_equal(variable.numpy(), value, equal_nan=True):
                    self._by_batch.add(layer)
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
