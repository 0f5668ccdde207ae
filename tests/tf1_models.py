"""SavedModels as the code of Deep Interest Networks for TensorFlow 1 writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

ITEMS, LENGTH, SIZE = 40, 5, 8


def clicks(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """An item and the history of each example."""
    rng = np.random.default_rng(seed)
    return {
        "item": rng.integers(1, ITEMS, rows).astype(np.int32),
        "history": rng.integers(1, ITEMS, (rows, LENGTH)).astype(np.int32),
    }


@contextmanager
def control_flow_of_tf1() -> Iterator[None]:
    """`tf.cond` as switches and merges."""
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        v1.enable_control_flow_v2()


def batch_normalization(
    x: tf.Tensor,
    name: str,
    training: tf.Tensor | bool,
    *,
    fused: bool = False,
    affine: bool = True,
    resource: bool = False,
) -> tf.Tensor:
    """What `tf.layers.batch_normalization` adds to a graph, its updates among the UPDATE_OPS."""
    channels = x.shape[-1]

    def variable(kind: str, value: float, *, trainable: bool) -> tf.Variable:
        start = v1.constant_initializer(value)
        return v1.get_variable(
            kind, [channels], initializer=start, trainable=trainable, use_resource=resource
        )

    with v1.variable_scope(name):
        gamma = variable("gamma", 1.0, trainable=True) if affine else None
        beta = variable("beta", 0.0, trainable=True) if affine else None
        mean = variable("moving_mean", 0.0, trainable=False)
        variance = variable("moving_variance", 1.0, trainable=False)
        if fused:
            # The layer of that time chooses between two ops.
            def by(training: bool) -> tf.Tensor:
                statistics = (None, None) if training else (mean, variance)
                y, _, _ = v1.nn.fused_batch_norm(
                    x[:, None, None], gamma, beta, *statistics, 1e-3, is_training=training
                )
                return y

            if isinstance(training, bool):
                return by(training)[:, 0, 0]
            return v1.cond(training, lambda: by(True), lambda: by(False))[:, 0, 0]
        own = tf.nn.moments(x, list(range(x.shape.rank - 1)))
        for moving, new in zip((mean, variance), own, strict=True):
            update = v1.assign(moving, 0.99 * moving + 0.01 * new)
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        if isinstance(training, bool):
            used = own if training else (mean, variance)
        else:
            used = v1.cond(
                training, lambda: list(own), lambda: [tf.identity(mean), tf.identity(variance)]
            )
        return tf.nn.batch_normalization(x, *used, beta, gamma, 1e-3)


def din(
    directory: Path,
    *,
    resource: bool,
    training: Callable[[], tf.Tensor | bool],
    update: bool = False,
    fused: bool = False,
    flag: str | None = None,
    steps: int = 3,
) -> tuple[Path, dict[str, np.ndarray]]:
    """Train a DIN for a few steps, its normalization by the batch, and save it with its statistics.

    Args:
        directory: where to.
        resource: whether variables are resources, not refs.
        training: makes what says, in the graph that is saved, whether to normalize by the batch.
        update: whether the UPDATE_OPS are run, 600 times.
        fused: whether the saved graph has the fused op.
        flag: the placeholder in the saved graph that is an input, too.
        steps: of training.

    Returns:
        The SavedModel, and the variables in it by name.
    """
    feeds = clicks(256)
    labels = (feeds["item"] % 2).astype(np.float32)

    def scores(training: tf.Tensor | bool, fused: bool) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        inputs = {
            "item": v1.placeholder(tf.int32, [None], "item"),
            "history": v1.placeholder(tf.int32, [None, LENGTH], "history"),
        }
        with v1.variable_scope("din", reuse=v1.AUTO_REUSE):
            start = v1.random_normal_initializer(0.8, 0.7, seed=1)
            table = v1.get_variable(
                "items", [ITEMS, SIZE], initializer=start, use_resource=resource
            )
            item, history = (tf.nn.embedding_lookup(table, inputs[n]) for n in inputs)
            weights = tf.nn.softmax(tf.reduce_sum(history * item[:, None], -1))
            interest = tf.reduce_sum(history * weights[..., None], 1)
            x = tf.concat([item, interest, item * interest], 1)
            x = batch_normalization(x, "bn1", training, fused=fused, resource=resource)
            for number, units in enumerate((12, 1)):
                shape = [x.shape[-1], units]
                start = v1.glorot_uniform_initializer(seed=number + 2)
                kernel = v1.get_variable(
                    f"f{number}/kernel", shape, initializer=start, use_resource=resource
                )
                x = x @ kernel
                if units > 1:
                    normalized = batch_normalization(
                        x, "dice", training, affine=False, resource=resource
                    )
                    p = tf.sigmoid(normalized)
                    x = p * x + (1 - p) * 0.1 * x
        return inputs, x[:, 0]

    with tf.Graph().as_default(), v1.Session() as session:
        inputs, logits = scores(True, False)
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
        step = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run(v1.global_variables_initializer())
        fed = {inputs[name]: array for name, array in feeds.items()}
        for _ in range(steps):
            session.run(step, fed)
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        for _ in range(600 if update else 0):
            session.run(updates, fed)
        trained = {v.op.name: session.run(v) for v in v1.global_variables()}
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, logits = scores(training(), fused)
        score = {"score": tf.sigmoid(logits)}
        session.run(v1.global_variables_initializer())
        for variable in v1.global_variables():
            variable.load(trained[variable.op.name], session)
        if flag is not None:
            inputs[flag] = session.graph.get_tensor_by_name(f"{flag}:0")
        v1.saved_model.simple_save(session, str(directory), inputs, score)
    return directory, trained
