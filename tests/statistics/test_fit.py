import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.export.tracing.interface import interface
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.statistics import recalibrate_statistics
from tfnorm.statistics.fit import statistics_fit

KINDS = (keras.layers.BatchNormalization, BatchNormalization)


def columns(rows, seed):
    rng = np.random.default_rng(seed)
    return {"x": (rng.normal(size=(rows, 12)) * np.geomspace(0.1, 10, 12) + 2).astype(np.float32)}


def made(kind, second=None):
    inputs = keras.Input((12,), name="x")
    hidden = keras.layers.Dense(16)(kind(name="first")(inputs))
    hidden = (second or kind)(name="second")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, name="score")(hidden))
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0.3, 0.3, variable.shape))
    recalibrate_statistics(model, [columns(4000, 2)["x"]])
    return model


def with_initial_share(model, share):
    for layer in (model.get_layer("first"), model.get_layer("second")):
        layer.moving_mean.assign((1 - share) * layer.moving_mean)
        layer.moving_variance.assign((1 - share) * layer.moving_variance + share)
    return model


def fit_of(model, rows=512):
    examples = columns(rows, 3)
    return statistics_fit(model, interface(model, examples).score, examples)


@pytest.mark.parametrize("kind", KINDS)
def test_the_statistics_of_the_data_fit_and_those_with_initial_values_in_them_do_not(kind):
    model = made(kind, Dice)
    assert fit_of(model).verdict == "fits"
    fit = fit_of(with_initial_share(model, 0.3))
    assert fit.verdict == "off"
    assert 0.2 < fit.initial_share < 0.32
    assert "do not fit the 512 examples: layer 'first' has in channel" in str(fit)
    assert "of the initial values is left" in str(fit)


def test_the_figures_of_the_worst_channel_are_those_of_numpy():
    model = made(BatchNormalization)
    layer = model.get_layer("first")
    mean = layer.moving_mean.numpy()
    mean[4] += 100
    layer.moving_mean.assign(mean)
    fit = fit_of(model)
    x = columns(512, 3)["x"].astype(np.float64)[:, 4]
    assert (fit.worst.name, fit.worst.channel) == ("first", 4)
    assert fit.worst.mean == pytest.approx(mean[4])
    assert fit.worst.data_mean == pytest.approx(x.mean())
    assert fit.worst.data_std == pytest.approx(np.sqrt(x.var() + layer.epsilon))


def test_looking_changes_nothing_in_the_model():
    model = made(keras.layers.BatchNormalization)
    before = model.get_weights()
    fit_of(model)
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_a_frozen_layer_is_left_out():
    model = with_initial_share(made(BatchNormalization), 0.5)
    for name in ("first", "second"):
        model.get_layer(name).trainable = False
    fit = fit_of(model)
    assert (fit.verdict, fit.layers) == ("fits", ())


def test_a_few_examples_decide_nothing_and_json_has_no_nan():
    fit = fit_of(with_initial_share(made(BatchNormalization), 0.5), rows=8)
    assert fit.verdict == "undecided"
    found = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert found["effect"] is None
    assert "8 examples don't decide it" in found["text"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_examples_with_values_that_are_not_finite_are_left_out(value, share):
    model, examples = with_initial_share(made(BatchNormalization), share), columns(512, 3)
    score = interface(model, examples).score
    examples["x"][[5, 300], [1, 7]] = value
    others = {"x": np.delete(examples["x"], [5, 300], axis=0)}
    fit, expected = (statistics_fit(model, score, given) for given in (examples, others))
    assert fit == expected
    assert (fit.verdict, fit.examples) == ("off" if share else "fits", 510)


def test_what_a_model_makes_of_missing_values_itself_is_looked_at():
    inputs = keras.Input((12,), name="x")
    known = keras.layers.Lambda(lambda x: tf.where(tf.math.is_nan(x), 2.0, x))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(BatchNormalization()(known)))
    examples = columns(512, 3)
    examples["x"][::2, 3] = np.nan
    fit = statistics_fit(model, interface(model, examples).score, examples)
    assert (fit.verdict, fit.examples) == ("off", 512)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [False, True])
def test_a_tf_function_is_seen_through_unless_it_was_traced_for_good(kind, hidden):
    class Traced(keras.Model):
        def __init__(self):
            super().__init__()
            self.bn = kind()
            self.bn.build((None, 12))
            self.function = tf.function(lambda x: self.bn(x, training=False))
            if hidden:
                self.function = self.function.get_concrete_function(tf.TensorSpec([None, 12]))

        def call(self, x):
            return self.function(x)

    model, examples = Traced(), columns(64, 3)
    model(examples["x"])
    if not hidden:
        recalibrate_statistics(model, examples["x"])
        fit = statistics_fit(model, interface(model, examples).score, examples)
        assert fit.verdict == "fits"
    model.bn.moving_mean.assign(model.bn.moving_mean + 100)
    fit = statistics_fit(model, interface(model, examples).score, examples)
    assert fit.verdict == ("undecided" if hidden else "off")
