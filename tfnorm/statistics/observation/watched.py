"""What layers with moving statistics are given, shown at each call: tfnorm's own, and Keras's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf

from tfnorm._keras import replaced_calls
from tfnorm.layers.moving_statistics import MovingStatistics, Observer, is_set


@contextmanager
def watched(observers: Mapping[keras.layers.Layer, Observer]) -> Iterator[None]:
    """Let functions see what their layers are given: inputs, mask, and whether they are by batch.

    tfnorm's layers show it themselves (`observed_by`); a `call` of Keras's is replaced meanwhile.
    """
    with ExitStack() as stack:
        others = {}
        for layer, observer in observers.items():
            if isinstance(layer, MovingStatistics):
                stack.enter_context(layer.observed_by(observer))
            else:
                others[layer] = _shown(layer, observer)
        stack.enter_context(replaced_calls(others))
        yield


def _shown(layer: keras.layers.Layer, observer: Observer) -> Callable[..., tf.Tensor]:
    """The layer's `call`, that shows its inputs first."""
    call, signature = layer.call, inspect.signature(layer.call)

    def shown(*args: Any, **kwargs: Any) -> tf.Tensor:
        given = signature.bind(*args, **kwargs)
        inputs, training = next(iter(given.arguments.values())), given.arguments.get("training")
        if training is not None:
            given.arguments["training"] = training = is_set(training, layer.name)
        by_batch = bool(training and layer.trainable)
        observer(inputs, given.arguments.get("mask"), by_batch)
        return call(*given.args, **given.kwargs)

    return shown
