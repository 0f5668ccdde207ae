"""A training loop for replicas, of Keras's parts: its `fit` takes no dataset on several workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfnorm._keras import unscaled_loss
from tfnorm.training.workers import place


def fit(
    model: keras.Model,
    batches: tf.data.Dataset,
    *,
    sizes: Sequence[int],
    first: int,
    epochs: int,
    positive_weight: float,
    callbacks: Sequence[keras.callbacks.Callback],
) -> dict[str, list[float]]:
    """Train a compiled model in the scope of a strategy, whose optimizer has its variables.

    Every worker has rows of its own of each batch, of which its replicas have their shares. The loss is the
    mean over the rows of the whole batch, and so are its gradients, whatever the number of replicas.

    Args:
        model: made and compiled in the scope.
        batches: `(features, labels)`, or with weights, this worker's rows; another epoch in each pass.
        sizes: how many rows each batch has on all workers together.
        first: the number of the first epoch.
        epochs: the number of the epoch after the last.
        positive_weight: how much an example with a click counts.
        callbacks: as Keras's `fit` takes them, the same on each worker where they have replicas meet.

    Returns:
        What was measured after each epoch, as the history of `fit` has it.
    """
    strategy = tf.distribute.get_strategy()
    variables = model.trainable_variables

    index, workers = place()
    replicas = strategy.num_replicas_in_sync // workers

    def of_replica(
        x: dict[str, tf.Tensor], y: tf.Tensor, weights: tf.Tensor, size: tf.Tensor
    ) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        number = context.replica_id_in_sync_group - index * replicas
        count = tf.shape(y)[0]
        rows = slice(count * number // replicas, count * (number + 1) // replicas)
        x, y, weights = tf.nest.map_structure(lambda column: column[rows], (x, y, weights))
        share = tf.shape(y)[0] / size
        with tf.GradientTape() as tape:
            scores = model(x, training=True)
            loss = model.compute_loss(x, y[:, None], scores, weights, training=True)
            # Of no rows the mean is no number.
            loss = tf.where(share > 0, unscaled_loss(loss) * tf.cast(share, loss.dtype), 0.0)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        model.optimizer.apply(gradients, variables)
        return loss

    def of_all(*batch: Any) -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(of_replica, batch), axis=None)

    features, labels, *_ = batches.element_spec
    weights = tf.TensorSpec([None], tf.float32)
    # Traced once: workers that trace at different times would not meet in their collectives.
    signature = (features, labels, weights, tf.TensorSpec([], tf.int32))
    step = tf.function(of_all, autograph=False, input_signature=signature)

    told = keras.callbacks.CallbackList(
        list(callbacks), add_history=True, model=model, epochs=epochs, verbose=0
    )
    model.stop_training = False
    told.on_train_begin()
    for epoch in range(first, epochs):
        told.on_epoch_begin(epoch)
        total, rows = 0.0, 0
        for metric in model.metrics:
            metric.reset_state()
        for number, ((x, y, *weights), size) in enumerate(zip(batches, sizes, strict=True)):
            told.on_train_batch_begin(number)
            clicks = tf.where(tf.round(y) == 1, positive_weight, 1.0)
            loss = step(x, y, clicks * weights[0] if weights else clicks, tf.constant(size))
            total, rows = total + float(loss) * size, rows + size
            told.on_train_batch_end(number, {"loss": total / rows})
        # Read here, their variables are those of all replicas together.
        measured = {metric.name: float(metric.result()) for metric in model.metrics}
        told.on_epoch_end(epoch, {**measured, "loss": total / rows})
        if model.stop_training:
            break
    told.on_train_end()
    history: dict[str, list[float]] = model.history.history
    return history
