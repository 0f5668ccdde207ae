"""What a watched Keras model says of its layers, against NumPy."""

import keras
import numpy as np
import pytest
from keras.layers import Dense, Dropout, Embedding, Flatten, Rescaling

from tfnorm.export.tracing.interface import interface
from tfnorm.layers import BatchNormalization
from tfnorm.statistics.observation.keras_watch import KerasWatch

X = (3 + 2 * np.random.default_rng(0).normal(size=(64, 4))).astype(np.float32)


def watch(model, features):
    return KerasWatch(model, interface(model, features).score)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.BatchNormalization(),
        BatchNormalization(),
        BatchNormalization(virtual_batch_size=8),
        BatchNormalization(renorm=True),
        BatchNormalization(momentum=None),
    ],
    ids=["keras", "tfnorm", "ghost batches", "renorm", "cumulative"],
)
def test_the_own_statistics_are_those_of_all_rows_however_the_layer_trains(layer):
    model = keras.Sequential(
        [keras.Input((4,), name="x"), type(layer).from_config(layer.get_config())]
    )
    before = model.get_weights()
    (scores,) = watch(model, {"x": X}).own({"x": X}).values()
    x = X.astype(np.float64)
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def settled(model, features):
    watched = watch(model, features)
    watched.used(features)
    return {layer.name: layer.used.settled for layer in watched.called}


def test_what_comes_from_the_inputs_through_nothing_trained_is_settled():
    inputs = keras.Input((4,), name="x")
    x = keras.layers.BatchNormalization(name="first")(Dropout(0.1)(Rescaling(2.0)(inputs)))
    x = BatchNormalization(name="behind_gamma")(x)
    x = BatchNormalization(name="behind_a_kernel")(Dense(3)(x))
    model = keras.Model(inputs, x)
    assert settled(model, {"x": X}) == {
        "first": True,
        "behind_gamma": False,
        "behind_a_kernel": False,
    }


def test_what_is_behind_an_embedding_or_called_by_python_code_is_not_known_to_be_settled():
    ids = keras.Input((4,), name="x", dtype="int32")
    model = keras.Model(ids, BatchNormalization(name="bn")(Flatten()(Embedding(9, 2)(ids))))
    assert settled(model, {"x": np.abs(X).astype(np.int32) % 9}) == {"bn": False}

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.normalization = BatchNormalization(name="bn")

        def call(self, x, training=None):
            return self.normalization(x, training=training)

    model = Model()
    model(X)
    assert list(settled(model, {"x": X}).values()) == [False]


def test_what_is_inside_a_nested_model_is_not_known_to_be_settled():
    inner = keras.Sequential([keras.Input((4,)), BatchNormalization(name="bn")])
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, inner(inputs))
    assert list(settled(model, {"x": X}).values()) == [False]
