"""Counts, means and squared deviations of channels, against NumPy in float64."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm import ops
from tfnorm.ops.moments import (
    Exact,
    Moments,
    along_axis,
    channel_moments,
    flat_mask,
    flat_moments,
    flatten,
    merge,
    unflatten,
    wide,
)


@pytest.mark.parametrize("masked", [False, True])
def test_moments_are_those_of_numpy_with_their_gradients(shape_and_axis, masked, rng):
    shape, axis = shape_and_axis
    x = rng.normal(1, 2, shape)
    mask = rng.random(shape[:-1]) < 0.7 if masked else None
    weights = rng.normal(size=(2, shape[axis]))
    source = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(source)
        mean, variance = ops.moments(source, axis, mask)
        loss = tf.reduce_sum(weights[0] * mean) + tf.reduce_sum(weights[1] * variance)

    def expected(x):
        _, mean, variance = oracles.moments(x, axis, mask)
        return np.sum(weights[0] * mean) + np.sum(weights[1] * variance)

    assert mean.dtype == variance.dtype == tf.float32
    assert_close(mean, oracles.moments(x, axis, mask)[1], 1e-6)
    assert_close(variance, oracles.moments(x, axis, mask)[2], 1e-6)
    assert_close(tape.gradient(loss, source), oracles.gradient(expected, x), 1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_moments_are_float32_or_wider(dtype, rng):
    x = tf.cast(rng.normal(300, 20, (500, 2)), dtype)
    mean, variance = ops.moments(x)
    assert mean.dtype == variance.dtype == ("float64" if dtype == "float64" else "float32")
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    _, expected_mean, expected_variance = oracles.moments(x.numpy().astype(np.float64))
    np.testing.assert_allclose(mean, expected_mean, rtol=tolerance)
    np.testing.assert_allclose(variance, expected_variance, rtol=10 * tolerance)


def test_moments_without_a_value_are_zero():
    for x, mask in ((np.zeros((0, 2)), None), (np.full((3, 2), np.nan), np.zeros(3, bool))):
        mean, variance = ops.moments(tf.constant(x, tf.float32), mask=mask)
        assert mean.numpy().tolist() == variance.numpy().tolist() == [0, 0]


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_groups_are_kept_apart(axis, rng):
    x = rng.normal(1, 2, (3, 4, 2, 5))
    mask = rng.random(x.shape[:-1]) < 0.7
    found = channel_moments(tf.constant(x), axis, tf.constant(mask), batch_dims=1)
    assert found.mean.shape == found.count.shape == (3, x.shape[axis])
    for n in range(3):
        count, mean, variance = oracles.moments(x[n], axis - 1, mask[n])
        np.testing.assert_array_equal(found.count[n], count)
        assert_close(found.mean[n], mean, 1e-12)
        assert_close(found.M2[n], variance * count, 1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_merged_parts_of_any_size_are_the_whole(offset, rng):
    """Also where one is empty, and the mean is far from zero, in float32."""
    x = rng.normal(offset, 1, (60, 3)).astype(np.float32)
    parts = [flat_moments(tf.constant(part)) for part in np.split(x, [1, 1, 20])]
    counts = tf.stack([tf.fill([3], part.count) for part in parts])
    found = merge(Moments(counts, *(tf.stack(v) for v in list(zip(*parts, strict=True))[1:])))
    assert found.count.numpy().tolist() == [60] * 3
    np.testing.assert_allclose(found.mean, x.mean(0, np.float64), rtol=2e-7, atol=1e-6)
    np.testing.assert_allclose(found.variance, x.var(0, dtype=np.float64), rtol=2e-4)


def test_parts_without_a_value_leave_nothing_behind():
    empty = Moments(*(tf.zeros((2, 3)) for _ in range(3)))
    assert [v.numpy().tolist() for v in (*merge(empty), merge(empty).variance)] == [[0] * 3] * 4


@pytest.mark.parametrize(
    ("axis", "batch_dims", "shape"),
    [
        (3, 0, (24, 5)),
        (1, 0, (2, 3, 20)),
        (0, 0, (1, 2, 60)),
        (2, 1, (2, 3, 4, 5)),
        (3, 1, (2, 12, 5, 1)),
    ],
)
def test_flattened_axes_keep_their_order_and_are_unflattened(axis, batch_dims, shape):
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    flat = flatten(tf.constant(x), axis, batch_dims)
    np.testing.assert_array_equal(flat, x.reshape(shape))
    np.testing.assert_array_equal(unflatten(flat, tf.constant(x)), x)


def test_sizes_that_are_known_before_the_batch_is_stay_known():
    spec = tf.TensorSpec([None, 4, 3])
    shapes = []

    @tf.function(input_signature=[spec], autograph=False)
    def traced(x):
        flat = flatten(x, 1)
        shapes.extend([flat.shape.as_list(), unflatten(flat, x).shape.as_list()])
        return flat

    traced.get_concrete_function()
    assert shapes == [[None, 4, 3], [None, 4, 3]]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(5, 2, 3), (1, 2, 1), (5, 1, 1)])
def test_a_mask_is_laid_against_the_flattened_tensor(axis, shape, rng):
    x = rng.normal(size=(5, 2, 3))
    mask = rng.random(shape[:2]) < 0.5
    counted = flat_mask(tf.constant(mask), tf.constant(x), axis)
    flat = flatten(tf.constant(x), axis % 3)
    counts = np.broadcast_to(np.broadcast_to(mask, (5, 2))[..., None], x.shape)
    expected = flatten(tf.constant(counts), axis % 3)
    np.testing.assert_array_equal(tf.broadcast_to(counted, flat.shape), expected)
    assert flat_mask(None, tf.constant(x), axis) is None


def test_what_is_neither_counted_nor_finite_is_zero_and_all_else_is_widened():
    x = tf.constant([[1.0, np.nan], [np.inf, 2.0], [np.nan, 3.0]], tf.float16)
    mask = tf.constant([True, False, False])
    found = wide(x, mask)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, [[1, np.nan], [0, 2], [0, 3]])
    np.testing.assert_array_equal(wide(x, None), x.numpy().astype(np.float32))
    assert wide(tf.zeros((1, 1), tf.float64), None).dtype == tf.float64


def test_channels_lie_along_their_axis():
    v, groups = tf.range(3.0), tf.reshape(tf.range(6.0), (2, 3))
    x = tf.zeros((2, 3, 4))
    assert [along_axis(x, axis)(v).shape.as_list() for axis in (1, -2)] == [[1, 3, 1]] * 2
    assert along_axis(tf.zeros((2, 4, 3)), -1)(v) is v
    assert along_axis(x, 1)(groups).shape == (2, 3, 1)
    assert along_axis(tf.zeros((2, 4, 3)), -1)(groups).shape == (2, 1, 3)


def test_sums_of_float32_are_made_in_float64():
    x = tf.constant([[1e8], [1.0], [-1e8]])
    assert Exact.total(tf.identity, x).numpy().tolist() == [1.0]
    sums, parts = Exact.several(lambda x: (x, 2 * x), lambda a, b: (b,), tf.reshape(x, (1, 3, 1)))
    assert [s.numpy().tolist() for s in sums] == [[2e8, 2.0, -2e8]]
    assert len(parts) == 2
