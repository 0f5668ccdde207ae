"""Weights come from and go to other layers."""

import keras
import numpy as np
import pytest
from oracles import assert_close
from running import assert_weights

import tfnorm
from tfnorm.layers import BatchNormalization, Dice

X = np.random.default_rng(0).normal(2, 3, (32, 4)).astype(np.float32)


def trained(Layer):
    """A model whose weights are no initial values."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), Layer(name="normal"), keras.layers.Dense(1)]
    )
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 2, w.shape) for w in model.weights])
    return model


DIRECTIONS = pytest.mark.parametrize(
    ("Source", "Target"),
    [
        (keras.layers.BatchNormalization, BatchNormalization),
        (BatchNormalization, keras.layers.BatchNormalization),
    ],
    ids=["from Keras", "into Keras"],
)


@DIRECTIONS
def test_weights_files_load(Source, Target, tmp_path):
    source, target = trained(Source), trained(Target)
    source.set_weights([w + 1 for w in source.get_weights()])
    source.save_weights(tmp_path / "model.weights.h5")
    target.load_weights(tmp_path / "model.weights.h5")
    assert_weights(target, source.get_weights())
    assert_close(target(X), source(X), 1e-6)


@DIRECTIONS
def test_set_weights_takes_get_weights(Source, Target):
    source, target = Source(), Target()
    source.build((None, 3))
    target.build((None, 3))
    source.set_weights([np.full(3, v) for v in (2.0, 3.0, 4.0, 5.0)])
    target.set_weights(source.get_weights())
    for name, value in (("gamma", 2), ("beta", 3), ("moving_mean", 4), ("moving_variance", 5)):
        assert getattr(target, name).numpy().tolist() == [value] * 3


def test_a_keras_file_with_the_layer_of_keras_loads_as_ours(tmp_path):
    """Whoever asks for the swap by `custom_objects` gets it; the arguments are those of Keras."""
    source = trained(keras.layers.BatchNormalization)
    source.save(tmp_path / "model.keras")
    swapped = keras.models.clone_model(
        keras.models.load_model(tmp_path / "model.keras"),
        clone_function=lambda layer: (
            BatchNormalization.from_config(layer.get_config())
            if isinstance(layer, keras.layers.BatchNormalization)
            else type(layer).from_config(layer.get_config())
        ),
    )
    swapped.set_weights(source.get_weights())
    assert isinstance(swapped.get_layer("normal"), tfnorm.BatchNormalization)
    assert_close(swapped(X), source(X), 1e-6)


def test_a_config_of_keras_makes_our_layer():
    theirs = keras.layers.BatchNormalization(
        axis=1, momentum=0.8, epsilon=0.1, gamma_regularizer="l2", beta_constraint="non_neg"
    )
    ours = BatchNormalization.from_config(theirs.get_config())
    config = ours.get_config()
    assert {key: config[key] for key in theirs.get_config()} == theirs.get_config()


def test_dice_takes_the_alpha_of_a_layer_that_has_no_statistics():
    layer = Dice()
    layer.build((None, 3))
    layer.load_alpha(np.array([0.1, 0.2, 0.3]))
    np.testing.assert_array_equal(layer.alpha.numpy(), np.float32([0.1, 0.2, 0.3]))
    assert layer.moving_mean.numpy().tolist() == [0, 0, 0]
    assert layer.moving_variance.numpy().tolist() == [1, 1, 1]


@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_a_shared_layer_sees_every_use(Layer):
    layer = Layer(momentum=None)
    left, right = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([left, right], [layer(left), layer(right)])
    model([X, 10 + X], training=True)
    assert_close(layer.moving_mean, 5 + X.mean(0), 1e-6)
    assert len(model.weights) == len(layer.weights)


@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_a_time_distributed_layer_works_as_on_the_whole_sequence_at_inference(Layer):
    x = X.reshape(8, 4, 4)
    layer = Layer()
    layer.build((None, 4))
    layer.set_weights([np.full(4, v) for v in np.linspace(0.5, 2, len(layer.weights))])
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.TimeDistributed(layer)])
    assert_close(model(x), layer(x.reshape(32, 4)).numpy().reshape(x.shape), 1e-6)


@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_a_time_distributed_layer_updates_its_statistics_in_training(Layer):
    """Keras calls it once for each step, with the rows of that step."""
    x = X.reshape(8, 4, 4)
    layer = Layer(momentum=0.5)
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.TimeDistributed(layer)])
    model(x, training=True)
    mean = np.zeros(4)
    for step in range(4):
        mean = 0.5 * mean + 0.5 * x[:, step].mean(0)
    assert_close(layer.moving_mean, mean, 1e-6)


@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_nested_models_train_save_and_load(Layer, tmp_path):
    inner = keras.Sequential([keras.Input((3,)), Layer(momentum=0.5)], name="inner")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), inner])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], epochs=2, verbose=0)
    assert np.all(inner.layers[0].moving_mean.numpy() != 0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_weights(loaded, model.get_weights())
    np.testing.assert_array_equal(loaded(X), model(X))
    inner.trainable = False
    before = inner.get_weights()
    model(X, training=True)
    assert_weights(inner, before)
