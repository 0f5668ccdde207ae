"""The moving statistics of layers: found, read and set."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tfnorm
from tfnorm.statistics.observation import moving
from tfnorm.statistics.observation.population import Population

KINDS = [tfnorm.BatchNormalization, tfnorm.Dice, keras.layers.BatchNormalization]
POPULATION = Population(
    count=np.array([4.0, 1.0, 0.0]),
    mean=np.array([2.0, -3.0, 0.0]),
    M2=np.array([12.0, 0.0, 0.0]),
    updates=np.array([2.0, 1.0, 0.0]),
    apart=np.zeros((4, 3)),
)


def built(layer: keras.layers.Layer) -> keras.layers.Layer:
    layer.build((None, 3))
    return layer


def test_a_layer_is_named_after_those_around_it():
    inner = keras.Sequential([keras.Input((3,)), tfnorm.Dice(name="norm")], name="inner")
    x = keras.Input((3,))
    middle = keras.Model(x, inner(x), name="middle")
    outer = keras.layers.BatchNormalization(name="norm")
    names = moving.statistics_layers(keras.Model(x, outer(middle(x))))
    assert names == {inner.layers[0]: "middle/inner/norm", outer: "norm"}


def test_a_shared_layer_comes_once():
    shared = tfnorm.Dice(name="shared")
    x = keras.Input((3,))
    model = keras.Model(x, shared(shared(x)))
    assert moving.statistics_layers(model) == {shared: "shared"}


def test_a_layer_that_is_not_built_has_no_statistics():
    class Held(keras.Model):
        def __init__(self):
            super().__init__()
            self.dice, self.other = tfnorm.Dice(), keras.layers.Dense(1)

    assert moving.statistics_layers(Held()) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_set_for_the_channels_that_have_values(kind):
    layer = built(kind())
    moving.assign(layer, POPULATION)
    assert layer.moving_mean.numpy().tolist() == [2, -3, 0]
    assert layer.moving_variance.numpy().tolist() == [3, 0, 1]


def test_an_unbiased_variance_divides_by_one_less_and_by_one_at_least():
    layer = built(tfnorm.Dice(unbiased_variance=True))
    assert moving.variance(layer, POPULATION).tolist() == [4, 0, 0]


def test_updates_are_those_of_the_population():
    layer = built(tfnorm.Dice(momentum=None))
    moving.assign(layer, POPULATION)
    assert layer.updates.numpy().tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (tfnorm.Dice(), ["moving_mean", "moving_variance"]),
        (tfnorm.Dice(momentum_warmup=True), ["moving_mean", "moving_variance", "updates"]),
        (
            tfnorm.BatchNormalization(renorm=True),
            ["moving_mean", "moving_stddev", "moving_variance", "renorm_mean", "renorm_stddev"],
        ),
    ],
)
def test_all_that_training_moves_is_named(layer, names):
    assert sorted(v.name for v in moving.moving_variables(built(layer))) == names
    assert len(layer.non_trainable_variables) == len(names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("initial", ["zeros", keras.initializers.Constant(3.0)])
def test_statistics_as_their_initializers_give_them_were_never_updated(kind, initial):
    layer = built(kind(moving_mean_initializer=initial))
    assert not moving.ever_updated(layer)
    layer.moving_variance.assign([1, 1, 2])
    assert moving.ever_updated(layer)
