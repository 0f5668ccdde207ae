"""Covariances that add up, and the matrix that they lead to, against NumPy's own."""

import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm.ops.whitening import (
    Covariance,
    covariance,
    merge_covariances,
    whitened,
    whitening_kernel,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)) @ RNG.normal(size=(3, 3)) + [1.0, -5.0, 300.0]
DEPENDENT = np.concatenate([X[:, :2], X[:, :1] + X[:, 1:2]], 1)


def test_a_covariance_is_numpy_s_over_all_but_the_last_axis():
    found = covariance(tf.constant(X.reshape(4, 2, 5, 3), tf.float32))
    rounded = X.astype(np.float32).astype(np.float64)
    assert float(found.count) == 40 and found.M2.dtype == tf.float64
    assert_close(found.mean, rounded.mean(0), 1e-12)
    assert_close(found.M2 / 40, np.cov(rounded.T, bias=True), 1e-12)


@pytest.mark.parametrize("cuts", [[0], [1], [7, 7, 39], [40]])
def test_merged_parts_are_the_whole(cuts):
    whole = covariance(tf.constant(X))
    parts = [covariance(tf.constant(part)) for part in np.split(X, cuts)]
    found = parts[0]
    for part in parts[1:]:
        found = merge_covariances(found, part)
    for value, expected in zip(found, whole, strict=True):
        assert_close(value, expected, 1e-12)


def test_no_rows_have_no_covariance():
    found = merge_covariances(*[covariance(tf.zeros((0, 2)))] * 2)
    assert [v.numpy().tolist() for v in found] == [0, [0, 0], [[0, 0], [0, 0]]]


@pytest.mark.parametrize("method", ["zca", "pca"])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_the_kernel_makes_the_covariance_with_epsilon_the_identity(method, epsilon):
    found = covariance(tf.constant(X))
    kernel = whitening_kernel(found, method, epsilon, None).numpy()
    regularized = np.cov(X.T, bias=True) + epsilon * np.eye(3)
    assert_close(kernel.T @ regularized @ kernel, np.eye(3), 1e-10)
    if method == "zca":
        assert_close(kernel, kernel.T, 1e-12)


def test_components_are_the_first_by_falling_variance_with_the_largest_entry_positive():
    found = covariance(tf.constant(X))
    kernel = whitening_kernel(found, "pca", 0.0, None).numpy()
    assert_close(whitening_kernel(found, "pca", 0.0, 2), kernel[:, :2], 1e-12)
    assert np.all(np.diff(np.linalg.norm(kernel, axis=0)) > 0)
    assert np.all(kernel[np.abs(kernel).argmax(0), range(3)] > 0)


def test_channels_that_depend_on_each_other_need_an_epsilon():
    found = covariance(tf.constant(DEPENDENT))
    assert not np.isfinite(whitening_kernel(found, "zca", 0.0, None)).all()
    kernel = whitening_kernel(found, "pca", 0.01, None).numpy()
    np.testing.assert_allclose(np.linalg.norm(kernel[:, 2]), 10.0, rtol=1e-9)


def test_the_mean_is_subtracted_before_the_product():
    """In float32, where the products of the inputs and of the mean are 1e12 and their difference is 1."""
    x, mean = tf.constant([[16777216.0]]), tf.constant([16777215.0])
    assert whitened(x, mean, tf.constant([[65537.0]])).numpy().tolist() == [[65537.0]]


def test_a_covariance_may_be_of_one_row():
    found = covariance(tf.constant([[3.0, 4.0]]))
    assert isinstance(found, Covariance)
    assert [v.numpy().tolist() for v in found] == [1, [3, 4], [[0, 0], [0, 0]]]
