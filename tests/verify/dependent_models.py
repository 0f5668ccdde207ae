"""Small models whose scores depend on the batch, each in one way, and some that don't."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

FEATURES = 6


def examples(count: int = 24, seed: int = 0) -> dict[str, np.ndarray]:
    """Float features and an id for each example."""
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(1.0, 2.0, (count, FEATURES)).astype(np.float32),
        "id": rng.permutation(count).astype(np.int32),
    }


def few_examples(name, specimen, count: int = 32) -> dict[str, np.ndarray]:
    """Some examples of a specimen of the zoo; those of its padding defects show their padding."""
    few = {key: array[:count].copy() for key, array in specimen.examples.items()}
    if name in ("GRU that reads the padding", "mean over padded steps"):
        (array,) = few.values()
        array[::3, 3:] = 0
    return few


class BatchDice(keras.layers.Layer):
    """Dice as the DIEN authors have it: normalized with this batch's own statistics."""

    def build(self, shape):
        self.alpha = self.add_weight(shape=(shape[-1],), initializer="zeros", name="alpha")

    def call(self, x):
        mean, variance = tf.nn.moments(x, [0])
        p = tf.sigmoid((x - mean) / tf.sqrt(variance + 1e-9))
        return p * x + (1 - p) * self.alpha * x


class Apply(keras.layers.Layer):
    """A function of the features and the ids."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, inputs):
        return self.function(inputs["x"], inputs["id"])


class Counting(keras.layers.Layer):
    """Adds a little more at each call."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign_add(1.0)
        return x + 1e-3 * self.calls


def ranker(*layers: keras.layers.Layer) -> keras.Model:
    """Dense, then the layers, then a score; the id goes into an embedding."""
    keras.utils.set_random_seed(1)
    inputs = {
        "x": keras.Input((FEATURES,), name="x"),
        "id": keras.Input((), dtype="int32", name="id"),
    }
    hidden = keras.layers.Concatenate()(
        [inputs["x"], keras.layers.Embedding(1000, 3)(inputs["id"])]
    )
    hidden = keras.layers.Dense(16)(hidden)
    for layer in layers:
        hidden = layer(hidden)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden), name="ranker")


def function_of(function) -> keras.Model:
    """A model that is one function of the features and the ids."""
    inputs = {
        "x": keras.Input((FEATURES,), name="x"),
        "id": keras.Input((), dtype="int32", name="id"),
    }
    return keras.Model(inputs, Apply(function)(inputs))


def in_training_mode(layer: keras.layers.Layer):
    """The layer as it is when its model was built with training=True."""
    return lambda hidden: layer(hidden, training=True)


def _frequency(x, ids):
    same = tf.cast(ids[:, None] == ids[None, :], tf.float32)
    return tf.reduce_sum(same, axis=1) + tf.reduce_sum(x, axis=1)


def _size(x):
    return tf.cast(tf.shape(x)[0], tf.float32)


FUNCTIONS = {
    "mean-centring": lambda x, ids: tf.reduce_sum((x - tf.reduce_mean(x, axis=0)) ** 2, axis=1),
    "scaling by the maximum": lambda x, ids: x[:, 0] / tf.reduce_max(tf.abs(x)),
    "softmax over the batch": lambda x, ids: tf.nn.softmax(x[:, 0], axis=0),
    "cumulative sum": lambda x, ids: tf.cumsum(x[:, 0]),
    "cumulative sum from the end": lambda x, ids: tf.cumsum(x[:, 0], reverse=True),
    "rolled rows": lambda x, ids: tf.roll(x[:, 0], 1, axis=0),
    "sorted rows": lambda x, ids: tf.sort(x[:, 0]),
    "frequency of an id": _frequency,
    "batch size as a feature": lambda x, ids: x[:, 0] + 1e-3 * _size(x),
    "batch size as a threshold": lambda x, ids: tf.where(_size(x) > 200.0, 0.0, x[:, 0]),
    "a neighbour's NaN": lambda x, ids: tf.where(tf.reduce_max(x) > 30.0, np.nan, 1.0) * x[:, 0],
    "a random number": lambda x, ids: x[:, 0] + tf.random.uniform(tf.shape(x)[:1]),
    "dropout left on": lambda x, ids: tf.reduce_sum(tf.nn.dropout(x, 0.5), axis=1),
    "rank of the row": lambda x, ids: tf.argsort(tf.argsort(x[:, 0])),
    "a mean over the batch": lambda x, ids: tf.reduce_mean(x),
    "a statistic kept in each row": lambda x, ids: tf.repeat(tf.reduce_mean(x), tf.shape(x)[0]),
    "a row too few": lambda x, ids: x[1:, 0],
    "a small term": lambda x, ids: x[:, 0] + 1e-4 * tf.reduce_mean(x),
}
