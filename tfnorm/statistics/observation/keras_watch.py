"""Keras models that are watched while they score: what their layers with moving statistics are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import is_symbolic, probe_detector, producer
from tfnorm._tensorflow import functions_are_inlined, inlined_functions, traced_by_name
from tfnorm.layers.moving_statistics import Observer
from tfnorm.ops.moments import channel_moments
from tfnorm.statistics.judgement import Moments, Used, merged
from tfnorm.statistics.observation.moving import moving_variables, read, statistics_layers
from tfnorm.statistics.observation.watched import watched
from tfnorm.statistics.watch import Arrays, Unseen, Watched

Tensors = Mapping[str, tf.Tensor]
Score = Callable[[Tensors], Tensors]
# The scores, and the moments of what layers are given: count, mean and M2 of each.
Shown = tuple[dict[str, tf.Tensor], list[tuple[tf.Tensor, ...]]]


class KerasWatch:
    """Calls a built model, and keeps what its layers with moving statistics are given.

    A layer that is frozen (`trainable=False`) normalized by its statistics in training too, and is left
    out; one that is called with training=True uses none, and is left out as well.

    Args:
        model: the model.
        score: calls it: features by name in, outputs by name out.

    Attributes:
        called: the layers, in the order of their calls, once they have been called.
        by_batch: the names of those that are called with training=True.
        frozen: those that are frozen, by the path of their variables.
    """

    def __init__(self, model: keras.Model, score: Score):
        self.called: list[Watched] = []
        self.by_batch: list[str] = []
        names = statistics_layers(model)
        self._inputs = getattr(model, "inputs", None) or []
        self._layers = {layer: name for layer, name in names.items() if layer.trainable}
        self.frozen = [
            layer.moving_mean.path.rpartition("/")[0] for layer in names if not layer.trainable
        ]
        self._watched: dict[keras.layers.Layer, Watched] = {}
        self._score = score
        self._is_probe = probe_detector()
        self._traces = is_symbolic(model) and not functions_are_inlined()
        self._graphs: dict[Callable[[Tensors], Shown], Callable[[Tensors], Shown]] = {}
        self._seen: list[keras.layers.Layer] = []

    @property
    def empty(self) -> bool:
        """Whether there is no layer to watch."""
        return not self._layers

    def used(self, features: Arrays) -> tuple[dict[str, np.ndarray], dict[Watched, Moments]]:
        with _kept(self._layers):
            outputs, found = self._ran(self._show_moments, features)
        seen: dict[Watched, list[Moments]] = {}
        for layer, moments in zip(self._seen, found, strict=True):
            seen.setdefault(self._watch(layer), []).append(Moments(*(v.numpy() for v in moments)))
        return outputs, {layer: merged(moments) for layer, moments in seen.items()}

    def own(self, features: Arrays) -> dict[str, np.ndarray]:
        with _kept(self._layers):
            return self._ran(self._use_own, features)[0]

    def _show_moments(self, features: Tensors) -> Shown:
        """The scores, and the moments of what each of the layers that are `_seen` is given."""
        self._seen = []
        found: list[tuple[tf.Tensor, ...]] = []

        def showing(layer: keras.layers.Layer) -> Observer:
            def observe(inputs: tf.Tensor, mask: tf.Tensor | None, by_batch: bool) -> None:
                if tf.compat.v1.get_default_graph() is not around and tf.inside_function():
                    raise Unseen("a layer is called inside a function that was traced before")
                if self._is_probe():
                    return
                if by_batch:
                    if self._layers[layer] not in self.by_batch:
                        self.by_batch.append(self._layers[layer])
                else:
                    self._seen.append(layer)
                    found.append(channel_moments(tf.cast(inputs, tf.float64), layer.axis, mask))

            return observe

        around = tf.compat.v1.get_default_graph()
        with watched({layer: showing(layer) for layer in self._layers}), inlined_functions():
            return self._scores(features), found

    def _use_own(self, features: Tensors) -> Shown:
        """The scores with the statistics of these features."""

        # Not by training=True: ghost batches would be normalized apart, and renorm by running statistics.
        def owning(layer: keras.layers.Layer) -> Observer:
            def observe(inputs: tf.Tensor, mask: tf.Tensor | None, by_batch: bool) -> None:
                if by_batch:
                    return
                found = channel_moments(tf.cast(inputs, tf.float64), layer.axis, mask)
                for moving, value in (
                    (layer.moving_mean, found.mean),
                    (layer.moving_variance, found.variance),
                ):
                    moving.assign(tf.where(found.count > 0, tf.cast(value, moving.dtype), moving))

            return observe

        with watched({layer: owning(layer) for layer in self._layers}), inlined_functions():
            return self._scores(features), []

    def _ran(
        self, score: Callable[[Tensors], Shown], features: Arrays
    ) -> tuple[dict[str, np.ndarray], list[tuple[tf.Tensor, ...]]]:
        """What it gives: of a graph, which runs again at little cost, unless a layer is called in a loop."""
        tensors = {name: tf.constant(array) for name, array in features.items()}
        if self._traces and score not in self._graphs:
            try:
                self._graphs[score] = _graph_of(score, tensors)
            except Unseen:
                self._traces = False
        run = self._graphs.get(score, score)
        outputs, found = run(tensors)
        return {name: output.numpy() for name, output in outputs.items()}, found

    def _watch(self, layer: keras.layers.Layer) -> Watched:
        if layer not in self._watched:
            mean, variance = (
                read(initializer(variable.shape, dtype=variable.dtype))
                for variable, initializer in (
                    (layer.moving_mean, layer.moving_mean_initializer),
                    (layer.moving_variance, layer.moving_variance_initializer),
                )
            )
            used = Used(
                read(layer.moving_mean),
                read(layer.moving_variance),
                initial_mean=mean,
                initial_variance=variance,
                settled=_is_settled(layer, self._inputs),
            )
            self._watched[layer] = Watched(self._layers[layer], used, layer.epsilon)
            self.called.append(self._watched[layer])
        return self._watched[layer]

    def _scores(self, features: Tensors) -> dict[str, tf.Tensor]:
        return {
            name: tf.cast(output, tf.float64)
            for name, output in self._score(features).items()
            if output.dtype.is_floating
        }


def _graph_of(score: Callable[[Tensors], Shown], like: Tensors) -> Callable[[Tensors], Shown]:
    """It traced, for any number of rows."""
    specs = {name: tf.TensorSpec([None, *x.shape[1:]], x.dtype) for name, x in like.items()}
    traced = traced_by_name(score, specs)
    return lambda tensors: traced(*(tensors[name] for name in specs))


def _is_settled(layer: keras.layers.Layer, inputs: list[keras.KerasTensor]) -> bool:
    """Whether a layer is given what comes from a model's inputs through nothing that is trained."""
    try:
        pending = keras.tree.flatten(layer.input)
    except (AttributeError, ValueError):
        # Python code calls it.
        return False
    known = {id(tensor) for tensor in inputs}
    while pending:
        tensor = pending.pop()
        if id(tensor) in known:
            continue
        known.add(id(tensor))
        node = producer(tensor)
        trained = (
            isinstance(node.operation, keras.layers.Layer) and node.operation.trainable_weights
        )
        if trained or not node.input_tensors:
            return False
        pending += node.input_tensors
    return True


@contextmanager
def _kept(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """What training moves, put back afterwards."""
    kept = [(v, v.numpy()) for layer in layers for v in moving_variables(layer)]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)
