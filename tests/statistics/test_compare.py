"""`statistics_report` against NumPy float64."""

from __future__ import annotations

import json

import keras
import numpy as np
import oracles
import pytest

import tfnorm
from tfnorm.errors import InputError
from tfnorm.statistics import (
    recalibrate_statistics,
    statistics_report,
)
from tfnorm.statistics.compare import partial_report
from tfnorm.statistics.observation.observe import Observer

LAYERS = [tfnorm.BatchNormalization, tfnorm.Dice, keras.layers.BatchNormalization]


def model_of(*layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *layers], name="ranker")


def trained(layer: keras.layers.Layer, x: np.ndarray) -> keras.Model:
    model = model_of(layer)
    for _ in range(3):
        model(x, training=True)
    return model


@pytest.mark.parametrize("kind", LAYERS)
def test_differences_are_in_standard_deviations_of_the_data(rows, kind):
    layer = kind(epsilon=1e-2)
    report = statistics_report(trained(layer, rows[:50]), [rows[:300], rows[300:]])
    _, mean, variance = oracles.moments(rows)
    scale = np.sqrt(variance + 1e-2)
    difference = (layer.moving_mean.numpy() - mean) / scale
    ratio = np.sqrt(layer.moving_variance.numpy() + 1e-2) / scale
    found = report.layers[0]
    np.testing.assert_allclose(found.mean_difference, difference, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.std_ratio, ratio, rtol=1e-5)
    worst = np.abs(difference).argmax()
    median = np.median(np.abs(found.mean_difference))
    assert found.mean == (found.mean_difference[worst], worst, median)
    assert found.std.channel == np.abs(np.log(ratio)).argmax()
    assert (report.batches, found.values, found.updated) == (2, 500, True)


def test_the_ratio_farthest_from_1_may_be_the_smallest(rows):
    layer = keras.layers.BatchNormalization(epsilon=0.0)
    model = model_of(layer)
    recalibrate_statistics(model, [rows])
    layer.moving_variance.assign(layer.moving_variance * [1, 0.01, 4, 1])
    assert statistics_report(model, [rows]).layers[0].std.channel == 1


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("initial", ["zeros", keras.initializers.Constant(3.0)])
def test_statistics_that_were_never_updated_are_found(rows, kind, initial):
    never = kind(moving_mean_initializer=initial, moving_variance_initializer="ones")
    report = statistics_report(model_of(never), [rows])
    assert (report.layers[0].state, report.passed) == ("never updated", False)
    assert statistics_report(trained(kind(), rows), [rows]).layers[0].updated


def test_an_update_that_is_counted_counts_though_it_moves_nothing():
    layer = tfnorm.Dice(momentum=None, moving_mean_initializer="zeros")
    x = np.array([[1.0, -1, 1, -1], [-1, 1, -1, 1]], np.float32)
    model = trained(layer, x)
    assert layer.moving_mean.numpy().tolist() == [0.0] * 4
    assert statistics_report(model, [x]).layers[0].state == "ok"


def test_nothing_is_off_after_recalibration(rows):
    model = model_of(*(kind() for kind in LAYERS))
    dataset = [rows[:300], rows[300:]]
    assert not statistics_report(model, dataset).passed
    recalibrate_statistics(model, dataset)
    report = statistics_report(model, dataset)
    assert report.passed
    for layer in report.layers:
        assert abs(layer.mean.worst) < 1e-5
        assert abs(layer.std.worst - 1) < 1e-5


def test_an_unbiased_variance_is_compared_with_an_unbiased_one(rows):
    model = model_of(tfnorm.Dice(unbiased_variance=True))
    recalibrate_statistics(model, [rows[:3]])
    assert abs(statistics_report(model, [rows[:3]]).layers[0].std.worst - 1) < 1e-6


def test_the_model_is_reported_as_it_is_and_not_changed(rows):
    """The second layer sees what the first gives with its own statistics, right or wrong."""
    first, second = keras.layers.BatchNormalization(), tfnorm.Dice()
    model = model_of(first, second)
    first.moving_mean.assign([100.0] * 4)
    second.moving_mean.assign([1.0] * 4)
    before = model.get_weights()
    report = statistics_report(model, rows)
    _, mean, variance = oracles.moments((rows - 100) / np.sqrt(1 + first.epsilon))
    expected = (1 - mean) / np.sqrt(variance + second.epsilon)
    np.testing.assert_allclose(report.layers[1].mean_difference, expected, rtol=1e-5)
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_a_layer_that_no_batch_reaches_is_not_called(rows):
    class Auxiliary(keras.Model):
        def __init__(self):
            super().__init__()
            self.dice, self.auxiliary = tfnorm.Dice(), tfnorm.Dice()

        def call(self, x, training=False):
            return self.dice(self.auxiliary(x) if training else x)

    model = Auxiliary()
    model(rows, training=True)
    recalibrate_statistics(model, [rows])
    report = statistics_report(model, [rows])
    assert [layer.state for layer in report.layers] == ["ok", "not called"]
    assert report.passed
    assert report.to_dict()["layers"][1]["mean_difference"] is None


def test_statistics_that_are_not_finite_are_told(rows):
    layer = tfnorm.Dice()
    model = trained(layer, rows)
    layer.moving_variance.assign([1, np.nan, 1, 1])
    report = statistics_report(model, [rows])
    assert report.layers[0].state == "not finite"
    assert report.to_dict()["layers"][0]["std_ratio"]["channel"] == 1
    assert json.loads(report.to_json())["layers"][0]["std_ratio"]["worst"] is None


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("look", [statistics_report, recalibrate_statistics])
def test_a_layer_without_channels_is_one_clear_error(kind, look):
    model = keras.Sequential([keras.Input((0,)), kind(name="none")], name="ranker")
    with pytest.raises(
        InputError, match="layer 'none' of model 'ranker' has no channels"
    ) as raised:
        look(model, [np.zeros((3, 0), np.float32)])
    assert "\n" not in str(raised.value)


def test_a_report_says_what_it_comes_from_and_one_of_a_callback_costs_no_fingerprint():
    model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization(name="bn")])
    batch = np.array([[1.0], [3.0]], np.float32)
    report = statistics_report(model, [batch])
    assert report.provenance.fingerprints.keys() == {"model"}
    assert report.to_dict()["provenance"]["started"] == report.provenance.started
    assert report.provenance.started.removesuffix("+00:00") in str(report)
    partial = Observer(model, training=None).observe([batch])
    assert partial_report(model, partial).provenance is None
