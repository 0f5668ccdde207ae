"""How moving statistics move, by the formulas in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.ops.moving_average import cumulative, moving_average, unbiased, warmed_up


@pytest.mark.parametrize("keep", [0.0, 0.9, 1.0, tf.constant([0.9, 0.5, 0.0])])
def test_it_moves_by_the_share_that_is_not_kept_unless_nothing_counts(keep):
    moving, value = np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0, np.nan])
    count = np.array([1.0, 30.0, 0.0])
    found = moving_average(tf.constant(moving), tf.constant(value[:3]), keep, tf.constant(count))
    share = np.broadcast_to(np.asarray(keep, np.float64), 3)
    expected = share * moving + (1 - share) * value
    np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-12)


def test_a_channel_without_a_value_stays_as_it_was():
    """The value there is 0, as the moments of nothing are."""
    moving = tf.constant([0.1, 0.1])
    found = moving_average(moving, tf.zeros(2), 0.9, tf.constant([0.0, 1.0]))
    assert found.numpy()[0] == np.float32(0.1) and found.numpy()[1] < 0.1


@pytest.mark.parametrize("keep", [0.99, 0.9, 1 / 3])
def test_a_statistic_that_is_right_stays_so_to_the_last_digit(keep):
    moving = tf.constant(np.random.default_rng(0).lognormal(0, 9, 1000), tf.float32)
    found = moving_average(moving, moving, keep, tf.ones(()))
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, moving)


def test_a_python_number_is_not_rounded_to_float32_first():
    found = moving_average(tf.zeros((), tf.float64), tf.ones((), tf.float64), 0.9, tf.ones(()))
    assert abs(float(found) - 0.1) < 1e-15


def test_the_first_updates_weigh_more_until_the_momentum_is_reached():
    updates = tf.constant([0.0, 1.0, 8.0, 1e6])
    np.testing.assert_allclose(warmed_up(0.9, updates), [0.1, 2 / 11, 0.5, 0.9], rtol=1e-6)


def test_a_cumulative_average_is_the_mean_of_what_came():
    values, moving = np.random.default_rng(0).normal(size=7), tf.constant(100.0, tf.float64)
    for n, value in enumerate(values):
        keep = cumulative(tf.constant(n, tf.float64))
        moving = moving_average(moving, tf.constant(value), keep, tf.ones(()))
    np.testing.assert_allclose(moving, values.mean(), rtol=1e-12)


def test_the_unbiased_variance_is_numpy_s_and_that_of_one_value_the_biased_one():
    x = np.random.default_rng(0).normal(size=(9, 2))
    np.testing.assert_allclose(unbiased(x.var(0), 9.0), x.var(0, ddof=1), rtol=1e-6)
    assert unbiased(tf.constant([3.0, 0.0]), tf.constant([1.0, 0.0])).numpy().tolist() == [3.0, 0.0]
