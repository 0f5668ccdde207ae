import json

import keras
import numpy as np
import pytest
from running import assert_weights

from tfnorm.layers import BatchNormalization, Dice

# Every argument, none at its default.
COMMON = {
    "axis": 1,
    "momentum": 0.7,
    "epsilon": 0.02,
    "moving_mean_initializer": keras.initializers.Constant(0.5),
    "moving_variance_initializer": keras.initializers.Constant(2.0),
    "name": "normal",
    "dtype": "float64",
}
BATCH_NORMALIZATION = {
    **COMMON,
    "beta_initializer": keras.initializers.Constant(0.1),
    "gamma_initializer": keras.initializers.Constant(1.5),
    "beta_regularizer": keras.regularizers.L2(0.1),
    "gamma_regularizer": keras.regularizers.L1(0.1),
    "beta_constraint": keras.constraints.NonNeg(),
    "gamma_constraint": keras.constraints.MaxNorm(3.0),
}


@keras.saving.register_keras_serializable(package="tfnorm_tests")
def brighten(shape):
    return 2.0, 0.25


def unregistered(shape):
    return 1.0, 0.0


LAYERS = {
    "plain": lambda: BatchNormalization(),
    "every argument": lambda: BatchNormalization(
        **BATCH_NORMALIZATION, unbiased_variance=True, momentum_warmup=True
    ),
    "synchronized": lambda: BatchNormalization(synchronized=True, momentum=None),
    "neither center nor scale": lambda: BatchNormalization(center=False, scale=False),
    "renorm": lambda: BatchNormalization(
        **BATCH_NORMALIZATION,
        renorm=True,
        renorm_clipping={"rmin": 0.5, "rmax": 2.0, "dmax": 1.0},
        renorm_momentum=0.6,
    ),
    "ghost batches": lambda: BatchNormalization(virtual_batch_size=3),
    "adjustment": lambda: BatchNormalization(virtual_batch_size=3, adjustment=brighten),
    "Dice": lambda: Dice(),
    "Dice, every argument": lambda: Dice(
        **COMMON,
        alpha_initializer=keras.initializers.Constant(0.1),
        alpha_regularizer=keras.regularizers.L2(0.1),
        alpha_constraint=keras.constraints.NonNeg(),
        unbiased_variance=True,
        momentum_warmup=True,
    ),
    "Dice, synchronized": lambda: Dice(synchronized=True, momentum=None),
}
CASES = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


def data(seed, rows=8):
    return np.random.default_rng(seed).normal(1, 2, (rows, 3)).astype(np.float32)


@CASES
def test_the_config_makes_the_same_layer(make):
    layer = make()
    config = json.loads(json.dumps(layer.get_config()))
    twin = type(layer).from_config(config)
    assert twin.get_config() == layer.get_config()
    for seed in range(2):
        np.testing.assert_array_equal(
            layer(data(seed), training=True), twin(data(seed), training=True)
        )
    assert [w.name for w in twin.weights] == [w.name for w in layer.weights]
    assert_weights(twin, layer.get_weights())


def test_the_config_names_every_argument_that_was_given():
    for arguments, Layer in ((BATCH_NORMALIZATION, BatchNormalization), (COMMON, Dice)):
        config = Layer(**arguments).get_config()
        assert arguments.keys() <= config.keys()
        assert {k: config[k] for k in ("axis", "momentum", "epsilon", "name")} == {
            k: arguments[k] for k in ("axis", "momentum", "epsilon", "name")
        }


@CASES
def test_a_keras_file_loads_without_custom_objects_and_goes_on_where_it_was(make, tmp_path):
    model = keras.Sequential([keras.Input((3,)), make()])
    for seed in range(3):
        model(data(seed), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = data(9)
    np.testing.assert_array_equal(model(x, training=False), loaded(x, training=False))
    np.testing.assert_array_equal(model(x, training=True), loaded(x, training=True))
    assert_weights(loaded, model.get_weights())


def test_an_adjustment_that_is_not_registered_is_refused_on_loading_with_its_name(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            BatchNormalization(virtual_batch_size=2, adjustment=unregistered),
        ]
    )
    model.save(tmp_path / "model.keras")
    with pytest.raises(TypeError, match="Could not locate function 'unregistered'"):
        keras.models.load_model(tmp_path / "model.keras")


@CASES
def test_clone_model_makes_a_new_layer_of_the_same_kind(make):
    model = keras.Sequential([keras.Input((3,)), make()])
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert clone.layers[0] is not model.layers[0]
    x = data(0)
    np.testing.assert_array_equal(model(x, training=True), clone(x, training=True))
    clone(data(1), training=True)
    assert not np.array_equal(model.get_weights()[-2], clone.get_weights()[-2])


@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_an_axis_is_taken_as_keras_2_saves_it(Layer):
    """`[3]`; saved again it is 3."""
    x = np.random.default_rng(0).normal(1, 2, (4, 2, 2, 3)).astype(np.float32)
    layer = Layer.from_config({**Layer(axis=3).get_config(), "axis": [3]})
    assert layer.get_config()["axis"] == 3
    np.testing.assert_array_equal(layer(x, training=True), Layer(axis=3)(x, training=True))


@pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
def test_statistics_that_come_without_a_count_of_updates_are_warmed_up(Layer, tmp_path):
    """The next update keeps as much of them as momentum says."""
    x = np.random.default_rng(0).normal(3, 2, (8, 2)).astype(np.float32)
    old, new = (
        keras.Sequential([keras.Input((2,)), Layer(momentum=0.9, momentum_warmup=warmup)])
        for warmup in (False, True)
    )
    old(x, training=True)
    old.save_weights(tmp_path / "old.weights.h5")
    new.load_weights(tmp_path / "old.weights.h5")
    for model in (old, new):
        model(x + 1, training=True)
    for weight, expected in zip(new.get_weights(), old.get_weights(), strict=False):
        np.testing.assert_allclose(weight, expected, rtol=3e-7)
