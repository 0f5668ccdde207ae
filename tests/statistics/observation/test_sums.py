"""How far examples decide: standard errors of means against NumPy, by what is known of each example."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.statistics import recalibrate_statistics
from tfnorm.statistics.observation.sums import Sums


def sums_of(batches: list[list[np.ndarray]], examples: list[int], mask=None, axis=-1) -> Sums:
    """What is added up of batches of calls."""
    layer = tfnorm.BatchNormalization(axis=axis)
    layer.build(batches[0][0].shape)
    sums = Sums(layer)
    sums.reset(np.float64(0.5))
    for calls, count in zip(batches, examples, strict=True):
        sums.begin(tf.constant(count))
        for call in calls:
            sums.add(tf.constant(call), mask, False)
        sums.end()
    return sums


def standard_error(of_examples: list[np.ndarray]) -> np.ndarray:
    """By the values `[m_i, C]` of each example, of which those without one don't count."""
    given = [x.astype(np.float64) for x in of_examples if len(x)]
    mean = np.concatenate(given).mean(0)
    totals = np.array([(x - mean).sum(0) for x in given])
    n, m = len(given), sum(map(len, given))
    return np.sqrt(n / (n - 1) * (totals**2).sum(0)) / m


def test_of_one_value_an_example_it_is_the_usual_one(rows):
    found = sums_of([[rows[:300]], [rows[300:]]], [300, 200]).population().standard_error
    np.testing.assert_allclose(found, rows.astype(float).std(0, ddof=1) / np.sqrt(500), rtol=1e-10)


def test_the_values_of_one_example_count_as_one(rows):
    x = (rows[:100, None] + 0.1 * rows.reshape(100, 5, 4)).astype(np.float32)
    found = sums_of([[x[:60]], [x[60:]]], [60, 40]).population().standard_error
    np.testing.assert_allclose(found, standard_error(list(x)), rtol=1e-6)
    assert (found > 2 * x.reshape(-1, 4).std(0) / np.sqrt(500)).all()


def test_steps_may_come_as_calls_or_as_rows(rows):
    x = rows.reshape(100, 5, 4)
    expected = standard_error(list(x))
    steps = sums_of([[x[:, t] for t in range(5)]], [100]).population().standard_error
    np.testing.assert_allclose(steps, expected, rtol=1e-6)
    flat = sums_of([[x.reshape(500, 4)]], [100]).population().standard_error
    np.testing.assert_allclose(flat, expected, rtol=1e-6)


def test_masked_values_do_not_count(rows):
    x, there = rows.reshape(100, 5, 4), np.arange(5) < np.arange(100)[:, None] % 6
    found = sums_of([[x]], [100], mask=there).population().standard_error
    expected = standard_error([a[b] for a, b in zip(x, there, strict=True)])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_channels_may_lie_along_another_axis(rows, axis):
    x = rows.reshape(100, 5, 4)
    found = sums_of([[np.moveaxis(x, -1, axis)]], [100], axis=axis).population().standard_error
    np.testing.assert_allclose(found, standard_error(list(x)), rtol=1e-6)


def test_a_call_of_some_of_the_examples_has_a_value_of_each(rows):
    found = sums_of([[rows[:37]]], [100]).population().standard_error
    np.testing.assert_allclose(found, standard_error([x[None] for x in rows[:37]]), rtol=1e-6)


def test_one_example_decides_nothing_and_none_tells_nothing(rows):
    assert (sums_of([[rows[:1]]], [1]).population().standard_error == np.inf).all()
    assert np.isnan(sums_of([[rows[:0]]], [0]).population().standard_error).all()


def test_the_largest_is_reported_in_standard_deviations_of_its_channel(rows):
    """The second layer has the values of a fifth of the examples."""
    inputs, mask = keras.Input((1, 4)), keras.Input((1,), dtype="bool")
    x = tfnorm.BatchNormalization(name="all", epsilon=0.0)(inputs)
    x = tfnorm.BatchNormalization(name="few", epsilon=0.0)(x, mask=mask)
    model = keras.Model([inputs, mask], x)
    few = np.arange(500)[:, None] % 5 == 0
    done = recalibrate_statistics(model, [([rows[:, None], few],)])
    assert done.examples == 500
    assert [move.standard_error for move in done.moves] == pytest.approx(
        [1 / np.sqrt(499), 1 / np.sqrt(99)], rel=1e-4
    )
    assert (done.worst.layer, done.standard_error) == ("few", done.moves[1].standard_error)
    assert str(done) == (
        "500 examples, 2 passes; the worst mean, in layer 'few', has a standard error of 0.1 standard "
        "deviations"
    )
