"""What counts as rounding."""

import numpy as np
import pytest

from tfnorm.verify.culprit.rounding import EQUAL_SHAPES, OTHER_SHAPES, Rounding, other_blocks

EXACT = Rounding(units=0)


def test_rounding_is_in_units_of_the_type():
    one = np.ones(3, np.float16)
    assert not Rounding(units=1).differ(one, one + np.float16(0.0009))
    assert Rounding(units=1).differ(one.astype(np.float32), one.astype(np.float32) + 0.0009)


def test_rounding_is_of_the_element_or_of_the_largest():
    a, b = np.array([1e3, 1e-3], np.float32), np.array([1e3, 1.001e-3], np.float32)
    assert Rounding(units=4, elementwise=True).differ(a, b)
    assert not Rounding(units=4).differ(a, b)


def test_nan_equals_nan_and_infinity_only_itself():
    inf, nan = np.float32(np.inf), np.float32(np.nan)
    assert not EXACT.differ(np.array([nan, inf]), np.array([nan, inf]))
    assert Rounding(units=64).differ(np.array([inf]), np.array([np.float32(1)]))
    assert Rounding(units=64).differ(np.array([nan]), np.array([np.float32(1)]))


def test_integers_and_strings_have_no_tolerance():
    assert Rounding(units=64).differ(np.array([1000000]), np.array([1000001]))
    assert Rounding(units=64).differ(np.array([b"a"], object), np.array([b"b"], object))


def test_another_shape_is_a_difference():
    assert OTHER_SHAPES.differ(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_values_are_rounded_as_their_parts_are(dtype):
    one = np.array([1 + 1j], dtype)
    unit = np.finfo(dtype).eps
    assert not Rounding(units=4).differ(one, one + dtype(2 * unit))
    assert Rounding(units=4).differ(one, one + dtype(1j * 16 * unit))


def test_the_graphs_coarsest_type_widens_where_blocks_change_and_no_further():
    one = np.ones(3, np.float32)
    half = float(np.finfo(np.float16).eps)
    assert EQUAL_SHAPES.differ(one, one * np.float32(1 + half))
    assert not other_blocks(half).differ(one, one * np.float32(1 + 250 * half))
    assert other_blocks(half).differ(one, one * np.float32(1 + 600 * half))


def test_equal_shapes_leave_four_units_of_each_element():
    one = np.ones(1, np.float32)
    unit = np.finfo(np.float32).eps
    assert not EQUAL_SHAPES.differ(one, one + np.float32(3 * unit))
    assert EQUAL_SHAPES.differ(one, one + np.float32(8 * unit))
