"""Partial results merge to what one would be of all batches, and go through JSON."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import tfnorm
from tfnorm.errors import InputError
from tfnorm.statistics import Observer, Partial, Recalibrator, recalibrate_statistics
from tfnorm.statistics.observation.population import Population

PARTS = [slice(0, 3), slice(3, 280), slice(280, 281), slice(281, 500)]


def population(x: np.ndarray) -> Population:
    """Of examples with a value for each channel."""
    x = x.astype(np.float64)
    count, mean = np.full(x.shape[1], float(len(x))), x.mean(0)
    M2 = np.square(x - mean).sum(0)
    return Population(count, mean, M2, np.ones_like(mean), np.stack([M2, 0 * mean, count, count]))


def nothing(channels: int) -> Population:
    zeros = np.zeros(channels)
    return Population(zeros, zeros + 7.0, zeros, zeros, np.zeros((4, channels)))


def model_of_two(randomized) -> keras.Model:
    """Dice stands on what the normalization gives; the second normalization beside both."""
    inputs = keras.Input((4,), name="x")
    x = tfnorm.BatchNormalization(name="first")(inputs)
    x = tfnorm.Dice(name="second", momentum_warmup=True)(keras.layers.Dense(3)(x))
    beside = keras.layers.BatchNormalization(name="beside")(inputs)
    return randomized(keras.Model(inputs, keras.layers.Concatenate()([x, beside])))


def through_json(partial: Partial) -> Partial:
    return Partial.from_dict(json.loads(json.dumps(partial.to_dict())))


def test_populations_merge_to_that_of_all_far_from_zero_too(rows):
    for offset in (0.0, 1e6):
        x = rows.astype(np.float64) + offset
        merged = nothing(4)
        for part in PARTS:
            merged = merged.merged(population(x[part])).merged(nothing(4))
        whole = population(x)
        np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-14)
        np.testing.assert_allclose(merged.M2, whole.M2, rtol=1e-9)
        np.testing.assert_allclose(merged.standard_error, whole.standard_error, rtol=1e-9)
        np.testing.assert_array_equal(merged.count, whole.count)


def test_parts_merge_in_any_order_to_the_whole(rows, randomized):
    model = model_of_two(randomized)
    observer = Observer(model)
    whole = observer.observe([rows])
    parts = [through_json(observer.observe([rows[part]])) for part in PARTS]
    for order in ([0, 1, 2, 3], [2, 3, 0, 1]):
        merged = through_json(parts[order[0]])
        for n in order[1:]:
            merged.merge(parts[n])
        assert (merged.examples, merged.batches, whole.batches) == (500, 4, 1)
        assert list(merged.layers) == list(whole.layers)
        assert merged.upstream == whole.upstream
        for name, found in merged.layers.items():
            expected = whole.layers[name]
            np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found.M2, expected.M2, rtol=1e-9)
            np.testing.assert_allclose(found.standard_error, expected.standard_error, rtol=1e-9)
    assert whole.upstream["second"] >= {"first"} and not whole.upstream["beside"]


@pytest.mark.slow
def test_a_model_is_recalibrated_by_parts_that_others_observe_as_by_itself(rows, randomized):
    model, other = model_of_two(randomized), model_of_two(randomized)
    expected = recalibrate_statistics(other, [rows])
    workers = [Observer(keras.models.clone_model(model)) for _ in range(2)]
    for worker in workers:
        worker.model.set_weights(model.get_weights())
    recalibrator = Recalibrator(model)
    while recalibrator.done is None:
        statistics = json.loads(json.dumps(recalibrator.statistics))
        whole, *parts = (
            workers[n % 2].observe([rows[part]], statistics=statistics)
            for n, part in enumerate(PARTS)
        )
        for part in parts:
            whole.merge(part)
        recalibrator.take(whole)
    assert list(recalibrator.done) == list(expected)
    assert (recalibrator.done.examples, recalibrator.done.passes) == (500, 2)
    assert recalibrator.done.standard_error == pytest.approx(expected.standard_error, rel=1e-6)
    for layer in ("first", "second", "beside"):
        for name in ("moving_mean", "moving_variance"):
            found, right = (getattr(m.get_layer(layer), name).numpy() for m in (model, other))
            np.testing.assert_allclose(found, right, rtol=1e-6, atol=1e-7)
    # A call of the layer is a batch.
    assert model.get_layer("second").updates.numpy().tolist() == [4.0] * 3


def test_parts_of_other_passes_and_of_other_models_are_refused(rows, randomized):
    model = model_of_two(randomized)
    observer, recalibrator = Observer(model), Recalibrator(model)
    first = observer.observe([rows])
    recalibrator.take(first)
    second = observer.observe([rows])
    with pytest.raises(InputError, match="whose moving statistics differ"):
        second.merge(first)
    with pytest.raises(InputError, match="other moving statistics than the model has"):
        recalibrator.take(first)
    alone = keras.Sequential([keras.Input((4,)), tfnorm.BatchNormalization(name="alone")])
    with pytest.raises(InputError, match="those of the same model, which has alone"):
        Observer(alone).observe([rows], statistics=recalibrator.statistics)
    partial = Observer(alone, training=None).observe([rows])
    with pytest.raises(InputError, match=r"one of model .*, which has "):
        tfnorm.statistics_report(model, partial)


def test_a_report_on_merged_parts_is_that_on_the_whole(rows, randomized):
    model = model_of_two(randomized)
    observer = Observer(model, training=None)
    merged = observer.observe([rows[:100]])
    merged.merge(through_json(observer.observe([rows[100:]])))
    found, expected = tfnorm.statistics_report(model, merged), tfnorm.statistics_report(model, rows)
    assert [x.state for x in found.layers] == [x.state for x in expected.layers]
    for one, other in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_allclose(one.std_ratio, other.std_ratio, rtol=1e-9)


def test_layers_that_are_called_alike_are_told_apart(rows):
    class Twins(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.other = (tfnorm.BatchNormalization(name="twin") for _ in range(2))

        def call(self, x):
            return self.other(10 * self.one(x))

    model = Twins()
    model(rows)
    assert list(recalibrate_statistics(model, [rows])) == ["twin", "twin (2)"]
