"""Dice and its gradient, against NumPy in float64 and central differences."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm import ops
from tfnorm.ops.dice import dice_batch, dice_with, rectify, rectify_gradient
from tfnorm.ops.moments import Exact


@pytest.mark.parametrize("masked", [False, True])
def test_dice_takes_given_statistics_or_its_own(shape_and_axis, masked, rng):
    shape, axis = shape_and_axis
    x = rng.normal(1, 2, shape).astype(np.float32)
    mask = rng.random(shape[:-1]) < 0.7 if masked else None
    channels = shape[axis]
    mean, alpha = rng.normal(size=(2, channels)).astype(np.float32)
    variance = rng.uniform(0.5, 2, channels).astype(np.float32)
    form = {"epsilon": 0.01, "axis": axis}
    _, own_mean, own_variance = oracles.moments(x, axis, mask)
    assert_close(
        ops.dice(x, alpha=alpha, mask=mask, **form),
        oracles.dice(x, own_mean, own_variance, alpha, **form),
    )
    assert_close(
        ops.dice(x, mean, variance, alpha, mask=mask, **form),
        oracles.dice(x, mean, variance, alpha, **form),
    )
    assert_close(ops.dice(x, mean, variance, **form), oracles.dice(x, mean, variance, **form))


@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_is_that_of_the_batch_s_own_statistics(masked, rng):
    x, dy = rng.normal(1, 2, (2, 7, 3))
    alpha = rng.normal(size=3)
    mask = np.array([1, 1, 0, 1, 0, 1, 1], bool) if masked else None
    counted = None if mask is None else tf.constant(mask[:, None])
    given = [tf.constant(v) for v in (x, alpha)]
    y, own = rectify(Exact, *given, counted, 0.01)
    dx, dalpha = rectify_gradient(Exact, tf.constant(dy), *given, own, counted, 0.01)

    def expected(x, alpha):
        _, mean, variance = oracles.moments(x, -1, mask)
        return oracles.dice(x, mean, variance, alpha, epsilon=0.01)

    assert_close(y, expected(x, alpha), 1e-12)
    assert_close(dx, oracles.gradient(lambda v: np.sum(dy * expected(v, alpha)), x), 1e-8)
    assert_close(dalpha, oracles.gradient(lambda v: np.sum(dy * expected(x, v)), alpha), 1e-8)


def test_far_from_the_mean_it_is_the_input_or_alpha_times_it():
    x = tf.constant([[1e30], [-1e30], [50.0]])
    found = dice_with(x, [50.0], [1.0], [0.25], epsilon=0.0, axis=-1)
    np.testing.assert_allclose(found, [[1e30], [-2.5e29], [50 * 0.625]], rtol=1e-6)


def test_the_moments_come_back_and_no_alpha_is_0(rng):
    x = rng.normal(3, 2, (6, 2, 3))
    y, own = dice_batch(tf.constant(x), None, epsilon=0.01, axis=1, mask=None)
    _, mean, variance = oracles.moments(x, 1)
    assert_close(own.mean, mean, 1e-12)
    assert_close(own.variance, variance, 1e-12)
    assert_close(y, oracles.dice(x, mean, variance, 0.0, epsilon=0.01, axis=1), 1e-12)
