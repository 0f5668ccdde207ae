"""Cutting a batch, and joining it again."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.ops.ghost_batches import average, join, split

X = np.arange(42.0).reshape(7, 2, 3)


@pytest.mark.parametrize(("size", "ghosts"), [(1, 7), (3, 3), (7, 1), (10, 1)])
def test_ghost_batches_have_consecutive_rows_and_what_fills_the_last_does_not_count(size, ghosts):
    parts, counted = split(tf.constant(X), size)
    assert (parts.shape, counted.shape) == ((ghosts, size, 2, 3), (ghosts, size, 2))
    rows = parts.numpy().reshape(-1, 2, 3)
    np.testing.assert_array_equal(rows[:7], X)
    np.testing.assert_array_equal(
        counted.numpy().reshape(-1, 2), np.arange(len(rows))[:, None] < [[7, 7]]
    )
    np.testing.assert_array_equal(join(parts, tf.constant(7)), X)


@pytest.mark.parametrize("shape", [(7, 2), (7, 1), (1, 2)])
def test_the_mask_is_cut_along(shape):
    mask = np.random.default_rng(0).random(shape) < 0.5
    _, counted = split(tf.constant(X), 3, tf.constant(mask))
    expected = np.zeros((9, 2), bool)
    expected[:7] = mask
    np.testing.assert_array_equal(counted.numpy().reshape(9, 2), expected)


def test_of_no_rows_there_are_no_ghost_batches():
    parts, counted = split(tf.zeros((0, 3)), 4)
    assert (parts.shape, counted.shape) == ((0, 4, 3), (0, 4))
    assert join(parts, tf.constant(0)).shape == (0, 3)


def test_the_size_of_a_ghost_batch_is_known_where_the_batch_s_is_not():
    @tf.function(input_signature=[tf.TensorSpec([None, 2, 3])], autograph=False)
    def traced(x):
        return split(x, 4)

    assert [s.as_list() for s in traced.get_concrete_function().output_shapes] == [
        [None, 4, 2, 3],
        [None, 4, 2],
    ]


def test_the_average_weighs_each_by_what_counts_in_it():
    counts = np.array([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0]])
    means, variances = np.array([[1.0, 9.0, 9.0], [5.0, 4.0, 9.0]]), np.full((2, 3), 2.0)
    count, mean, variance = average(*(tf.constant(v) for v in (counts, means, variances)))
    assert count.numpy().tolist() == [4, 2, 0]
    assert mean.numpy().tolist() == [2, 4, 0]
    assert variance.numpy().tolist() == [2, 2, 0]
