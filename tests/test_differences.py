import math

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfnorm.differences import absolute_difference, are_equal, epsilon, same_bits, ulp_distance

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("start", [-3.5, -1.0, 0.0, 0.3, 1.0, 1000.0])
def test_ulp_distance_counts_the_representable_numbers_between(dtype, start):
    start = np.array([start], dtype)
    value = start
    for steps in range(1, 6):
        value = np.nextafter(value, np.array([np.inf], dtype)).astype(dtype)
        assert ulp_distance(value, start) == steps
        assert ulp_distance(start, value) == steps


def test_ulp_distance_goes_through_zero_and_counts_both_zeros_as_one():
    tiny = np.nextafter(np.float32(0), np.float32(1))
    assert ulp_distance(np.array([tiny]), np.array([-tiny])) == 2
    assert ulp_distance(np.array([0.0], np.float32), np.array([-0.0], np.float32)) == 0


def test_ulp_distance_between_the_ends_of_float64_does_not_overflow():
    largest = np.finfo(np.float64).max
    distance = ulp_distance(np.array([largest]), np.array([-largest]))
    assert distance == pytest.approx(2 * float(np.array([largest]).view(np.int64)[0]))


@given(st.floats(width=32), st.floats(width=32))
def test_differences_of_any_two_floats_agree_with_python(a, b):
    x, y = np.array([a], np.float32), np.array([b], np.float32)
    if a == b or (math.isnan(a) and math.isnan(b)):
        assert absolute_difference(x, y) == 0
        assert ulp_distance(x, y) == 0
    elif math.isfinite(a) and math.isfinite(b):
        assert absolute_difference(x, y) == abs(a - b)
        assert 1 <= ulp_distance(x, y) < math.inf
    else:
        assert absolute_difference(x, y) == math.inf
        assert ulp_distance(x, y) == math.inf


@pytest.mark.parametrize(
    ("values", "reference", "difference"),
    [
        (np.array([3, 250], np.uint8), np.array([3, 5], np.uint8), [0, 245]),
        (np.array([-128, 7], np.int8), np.array([127, 7], np.int8), [255, 0]),
        (np.array([2**60 + 1, 5]), np.array([2**60, 5]), [1, 0]),
        (np.array([True, False]), np.array([True, True]), [0, 1]),
        (np.array([b"a", b"b"], object), np.array([b"a", b"c"], object), [0, math.inf]),
    ],
)
def test_integers_booleans_and_strings_are_compared_exactly(values, reference, difference):
    assert absolute_difference(values, reference).tolist() == difference
    expected = [0 if d == 0 else math.inf for d in difference]
    assert ulp_distance(values, reference).tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_tells_the_zeros_apart_and_takes_any_nan_for_another(dtype):
    values = np.array([0.0, 1.0, np.nan, np.inf], dtype)
    reference = np.array([-0.0, 1.0, -np.nan, np.inf], dtype)
    assert same_bits(values, reference).tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float16", 2.0**-10),
        ("bfloat16", 2.0**-7),
        ("float32", 2.0**-23),
        (tf.float64, 2.0**-52),
        ("complex64", 2.0**-23),
        (tf.complex128, 2.0**-52),
        ("int32", 0.0),
        (tf.string, 0.0),
        (tf.bool, 0.0),
    ],
)
def test_epsilon_is_the_rounding_of_real_and_of_complex_types(dtype, expected):
    assert epsilon(dtype) == expected


@pytest.mark.parametrize("dtype", [*DTYPES, np.complex64])
def test_arrays_with_nan_in_the_same_places_are_alike(dtype):
    values = np.array([[1.0, np.nan]], dtype)
    assert are_equal(values, values.copy())
    assert not are_equal(values, values[:, ::-1])
    assert not are_equal(values, values[0])
    assert not are_equal(values, np.array([[2.0, np.nan]], dtype))


def test_what_has_no_nan_is_alike_where_it_is_equal():
    for values in (np.array([b"a", b"bc"], object), np.array([1, 2]), np.array([True, False])):
        assert are_equal(values, values.copy()) and not are_equal(values, values[::-1])
    assert are_equal(b"a", b"a") and not are_equal(b"a", b"b")
