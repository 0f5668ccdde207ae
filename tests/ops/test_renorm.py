"""Batch renormalization's r and d, against algorithm 1 of the paper in NumPy."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm.ops import renorm

MEAN, VARIANCE = np.array([1.0, -2.0, 30.0]), np.array([4.0, 0.25, 1.0])
MOVING_MEAN, MOVING_STDDEV = np.array([0.5, 3.0, 0.0]), np.array([1.0, 4.0, 1e-9])
EPSILON = 0.01


def found(**clipping):
    sigma = tf.constant(np.sqrt(VARIANCE + EPSILON))
    given = (tf.constant(v) for v in (MOVING_MEAN, MOVING_STDDEV))
    return renorm.correction(tf.constant(MEAN), sigma, *given, epsilon=EPSILON, **clipping)


@pytest.mark.parametrize(
    "clipping",
    [{}, {"rmin": 0.5}, {"rmax": 1.5}, {"dmax": 0.75}, {"rmin": 0.2, "rmax": 2, "dmax": 0}],
)
def test_the_correction_is_the_paper_s_within_its_bounds(clipping):
    """The third channel's running deviation is less than what epsilon allows for."""
    expected = oracles.renorm_correction(
        MEAN, VARIANCE, MOVING_MEAN, MOVING_STDDEV, epsilon=EPSILON, **clipping
    )
    for value, wanted in zip(found(**clipping), expected, strict=True):
        assert_close(value, wanted, 1e-12)


def test_no_gradient_flows_through_it():
    mean, stddev = tf.constant(MEAN), tf.constant(MOVING_STDDEV)
    with tf.GradientTape() as tape:
        tape.watch([mean, stddev])
        r, d = renorm.correction(mean, stddev + 1, mean / 2, stddev, epsilon=EPSILON)
        loss = tf.reduce_sum(r + d)
    assert tape.gradient(loss, [mean, stddev]) == [None, None]


def test_one_scale_and_offset_stand_for_both_steps():
    x_hat, r, d, gamma, beta = np.random.default_rng(0).normal(size=(5, 3))
    given = dict(zip(("r", "d"), map(tf.constant, (r, d)), strict=True))
    scale, offset = renorm.compose(**given, gamma=tf.constant(gamma), beta=tf.constant(beta))
    assert_close(scale * x_hat + offset, gamma * (x_hat * r + d) + beta, 1e-12)
    scale, offset = renorm.compose(**given, gamma=None, beta=None)
    assert_close(scale * x_hat + offset, x_hat * r + d, 1e-12)


def test_a_deviation_and_its_variance_undo_each_other_and_none_is_negative():
    variance = np.array([0.0, 1e-12, 4.0, 1e6], np.float32)
    sigma = renorm.stddev(tf.constant(variance), 0.001)
    np.testing.assert_allclose(sigma, np.sqrt(variance.astype(np.float64) + 0.001), rtol=1e-6)
    np.testing.assert_allclose(renorm.variance(sigma, 0.001), variance, rtol=1e-6, atol=1e-9)
    assert renorm.variance(tf.constant([0.01]), 0.001).numpy().tolist() == [0.0]
