"""Normalization and its gradient, against NumPy in float64 and central differences."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm import ops
from tfnorm.ops.batch_normalization import (
    affine,
    in_dtype,
    normalize,
    normalize_batch,
    normalize_gradient,
    normalize_with,
)
from tfnorm.ops.moments import Exact


@pytest.mark.parametrize("masked", [False, True])
def test_batch_normalization_takes_given_statistics_or_its_own(shape_and_axis, masked, rng):
    shape, axis = shape_and_axis
    x = rng.normal(1, 2, shape).astype(np.float32)
    mask = rng.random(shape[:-1]) < 0.7 if masked else None
    channels = shape[axis]
    mean, gamma, beta = rng.normal(size=(3, channels)).astype(np.float32)
    variance = rng.uniform(0.5, 2, channels).astype(np.float32)
    form = {"epsilon": 0.01, "axis": axis}
    _, own_mean, own_variance = oracles.moments(x, axis, mask)
    assert_close(
        ops.batch_normalization(x, gamma=gamma, beta=beta, mask=mask, **form),
        oracles.normalize(x, own_mean, own_variance, gamma, beta, **form),
    )
    assert_close(
        ops.batch_normalization(x, mean, variance, gamma, beta, mask=mask, **form),
        oracles.normalize(x, mean, variance, gamma, beta, **form),
    )
    assert_close(
        ops.batch_normalization(x, mean, variance, **form),
        oracles.normalize(x, mean, variance, **form),
    )


@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_is_that_of_the_batch_s_own_statistics(masked, rng):
    x, dy = rng.normal(1, 2, (2, 7, 3))
    gamma, beta = rng.normal(size=(2, 3))
    mask = np.array([1, 1, 0, 1, 0, 1, 1], bool) if masked else None
    counted = None if mask is None else tf.constant(mask[:, None])
    given = [tf.constant(v) for v in (x, gamma, beta)]
    y, own = normalize(Exact, *given, counted, 0.01)
    found = normalize_gradient(Exact, tf.constant(dy), *given, own, counted, 0.01)

    def expected(x, gamma, beta):
        _, mean, variance = oracles.moments(x, -1, mask)
        return oracles.normalize(x, mean, variance, gamma, beta, epsilon=0.01)

    def loss(*values):
        return np.sum(dy * expected(*values))

    assert_close(y, expected(x, gamma, beta), 1e-12)
    assert_close(found[0], oracles.gradient(lambda v: loss(v, gamma, beta), x), 1e-8)
    assert_close(found[1], oracles.gradient(lambda v: loss(x, v, beta), gamma), 1e-8)
    assert_close(found[2], oracles.gradient(lambda v: loss(x, gamma, v), beta), 1e-8)


def test_a_batch_in_which_nothing_counts_is_normalized_with_zeros():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    y, own = normalize_batch(x, None, None, epsilon=0.25, axis=-1, mask=tf.zeros(2, tf.bool))
    assert own.count.numpy().tolist() == [0]
    np.testing.assert_array_equal(y, 2 * x)


def test_a_channel_that_is_constant_is_beta_to_the_last_digit():
    """Folded into the offset, the mean would cost all digits."""
    x = tf.fill((3, 1), 1.7e9)
    y = normalize_with(x, [1.7e9], [0.0], [30.0], [0.1], epsilon=1e-3, axis=-1)
    np.testing.assert_array_equal(y, np.full((3, 1), 0.1, np.float32))


def test_a_scale_and_an_offset_lie_along_the_axis_or_as_they_are(rng):
    x, scale, offset = rng.normal(size=(2, 3, 4)), rng.normal(size=3), rng.normal(size=3)
    wide = tf.constant(x)
    assert_close(affine(wide, scale, offset, axis=1), x * scale[:, None] + offset[:, None], 1e-12)
    assert_close(affine(wide, None, offset, axis=1), x + offset[:, None], 1e-12)
    assert_close(affine(wide, scale[:, None], None), x * scale[:, None], 1e-12)
    assert affine(wide, None, None) is wide


def test_what_is_given_is_cast_and_nothing_stays_nothing():
    found = in_dtype(tf.float64, [1.0], None, np.ones(2, np.float16))
    assert found[1] is None
    assert [v.dtype for v in found if v is not None] == [tf.float64] * 2
