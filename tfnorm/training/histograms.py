"""What goes on in the layers, for TensorBoard."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

from tfnorm.datasets import Log
from tfnorm.errors import InputError

_SAMPLE = 1024


class Histograms(keras.callbacks.Callback):
    """Writes histograms after each epoch: activations, gradients and moving statistics.

    All are of the same examples, the first 1,024, in inference: what moves is the model. The
    gradients are those of the log loss.

    Args:
        directory: of TensorBoard.
        log: to look at.
    """

    def __init__(self, directory: Path, log: Log):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(Path(directory) / "histograms"))
        sample = log.examples(_SAMPLE)
        self._features = tf.nest.map_structure(tf.constant, sample.features)
        self._labels = sample.labels[:, None]

    def on_train_begin(self, logs: object = None) -> None:
        self._layers = [
            layer
            for layer in self.model.layers
            if isinstance(layer.output, keras.KerasTensor)
            and keras.backend.is_float_dtype(layer.output.dtype)
        ]
        self._inner = keras.Model(self.model.input, [layer.output for layer in self._layers])
        self._look = tf.function(self._activations_and_gradients)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        strategy = tf.distribute.get_strategy()
        # Gradients are those of a replica's variables; all replicas see the same.
        activations, gradients = tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0],
            strategy.run(self._look, (self._features, self._labels)),
        )
        with self._writer.as_default(step=epoch):
            for layer, values in zip(self._layers, activations, strict=True):
                tf.summary.histogram(f"activations/{layer.name}", values)
            for variable, values in zip(self.model.trainable_variables, gradients, strict=True):
                tf.summary.histogram(f"gradients/{variable.path}", values)
            for variable in self.model.non_trainable_variables:
                if variable.name.startswith("moving_"):
                    tf.summary.histogram(f"moving_statistics/{variable.path}", variable.value)

    def on_train_end(self, logs: object = None) -> None:
        self._writer.close()

    def _activations_and_gradients(
        self, features: Mapping[str, tf.Tensor], labels: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        variables = [variable.value for variable in self.model.trainable_variables]
        with tf.GradientTape() as tape:
            activations = self._inner(features, training=False)
            loss = keras.losses.BinaryCrossentropy()(labels, activations[-1])
        return activations, [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]


def check_tensorboard() -> None:
    """Raise InputError unless TensorBoard is installed, which TensorFlow's summaries need."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("TensorBoard is not installed; install it with: pip install tensorboard")
