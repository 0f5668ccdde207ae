import ml_dtypes
import numpy as np
import pytest

from tfnorm.verify.judgement.comparison import Comparison
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import Tolerance

DEFAULT = Tolerance(precision="float32")


def _reference(values, tolerance=DEFAULT):
    return Reference([values[place : place + 1] for place in range(len(values))], tolerance)


def test_the_tolerance_is_absolute_at_the_scale_of_its_place_and_relative_to_the_value():
    values = np.array([[0.5, 3e3], [-0.25, -1e3], [1e9, 2e3]], np.float32)
    scale = np.array([0.5, 2e3])
    expected = 1e-6 * np.maximum(1, scale) + 1e-5 * np.abs(values.astype(np.float64))
    np.testing.assert_allclose(_reference(values).at_other_shapes, expected, rtol=1e-12)


def test_values_that_are_not_finite_do_not_count_for_the_scale_and_may_not_move():
    values = np.array([np.nan, np.inf, 4.0, 8.0])
    expected = 1e-6 * 6 + 1e-5 * np.array([0, 0, 4, 8])
    np.testing.assert_allclose(_reference(values).at_other_shapes, expected, rtol=1e-12)


def test_beside_others_a_value_may_move_by_four_epsilons_of_what_the_model_computes_in():
    values = np.float32([0.5, 2.0, -8.0])
    size = np.array([2.0, 2.0, 8.0])
    reference = _reference(values, Tolerance(precision="bfloat16"))
    np.testing.assert_allclose(reference.at_equal_shapes, 4 * 2.0**-23 * size)
    np.testing.assert_allclose(reference.at_unknown_shapes, 4 * 2.0**-7 * size)
    exact = _reference(values, Tolerance(precision="float32"))
    np.testing.assert_array_equal(exact.at_unknown_shapes, exact.at_other_shapes)


@pytest.mark.parametrize(
    ("precision", "epsilons"),
    [
        ("float32", 256 * 2.0**-23),
        ("float16", 32 * 2.0**-10),
        ("bfloat16", 32 * 2.0**-7),
        (None, 32 * 2.0**-10),
        ("tensorfloat32", 32 * 2.0**-10),
        ("float8_e4m3fn", 2 * 2.0**-3),
        ("float64", 256 * 2.0**-23),
    ],
)
def test_at_another_shape_the_most_goes_by_the_coarsest_type(precision, epsilons):
    reference = _reference(np.float32([1.0, 1.0, 1.0]), Tolerance(precision=precision))
    np.testing.assert_allclose(reference.at_most, epsilons, rtol=1e-6)


@pytest.mark.parametrize(("count", "size"), [(2, 0.5), (7, 0.5), (8, 0.01)])
def test_a_few_examples_that_are_near_0_do_not_tell_the_size_of_an_output(count, size):
    values = np.resize(np.float32([0.01, 0.5, 2.0]), (count, 3))
    reference = _reference(values, Tolerance(precision="float32"))
    np.testing.assert_allclose(
        reference.at_equal_shapes[0], 4 * 2.0**-23 * np.array([size, 0.5, 2])
    )


def test_a_score_in_16_bits_is_of_sums_in_16_bits():
    reference = _reference(np.float16([1.0, 1.0]), Tolerance(precision="float16"))
    np.testing.assert_allclose(reference.at_most, 64 * 2.0**-10)


def test_an_output_in_16_bits_may_always_round_in_its_last_places():
    values = np.array([1.0, 1.0], ml_dtypes.bfloat16)
    np.testing.assert_allclose(_reference(values).at_other_shapes, 4 * 2.0**-7)


def test_an_output_in_32_bits_is_held_to_a_tolerance_tighter_than_its_last_places():
    tight = Tolerance(1e-9, 1e-9, precision="float32")
    np.testing.assert_allclose(_reference(np.float32([1, 1]), tight).at_other_shapes, 2e-9)


@pytest.mark.parametrize("values", [np.array([3, 4]), np.array([True, False])])
def test_what_is_exact_may_not_move(values):
    reference = _reference(values)
    for bound in (reference.at_other_shapes, reference.at_equal_shapes, reference.at_most):
        assert not bound.any()


@pytest.mark.parametrize(
    ("values", "alike"),
    [
        (np.float32([0.5, 0.5, 0.5]), True),
        (np.float32([0.5, 0.5, 0.5 + 2.0**-22]), True),
        (np.float32([0.5, 0.5, 0.5 + 2.0**-20]), False),
        (np.float32([0.5, np.nan, 0.5]), False),
        (np.float32([np.nan, np.nan]), True),
        (np.float32([[0.5, 1], [0.5, 1]]), True),
        (np.float32([[0.5, 1], [0.5, 2]]), False),
        (np.array([3, 3]), True),
        (np.array([3, 4]), False),
        (np.array([b"a", b"a"], object), True),
        (np.array([b"a", b"b"], object), False),
    ],
)
def test_scores_are_alike_that_are_the_same_but_for_what_rounds(values, alike):
    for tolerance in (DEFAULT, Tolerance(atol=0.1)):
        assert _reference(values, tolerance).alike == alike


def test_what_is_no_finite_number_is_told_place_by_place():
    values = np.float32([[np.nan, 1.0, np.inf], [np.nan, np.inf, -np.inf]])
    expected = [[True, False, True], [True, True, True]]
    np.testing.assert_array_equal(_reference(values).numberless, expected)
    assert not _reference(np.array([3, 4])).numberless.any()


def test_other_values_are_explained_by_rounding_or_not():
    reference = _reference(np.float32([1.0, 2.0]), Tolerance(precision="float32"))
    assert reference.explains(np.float32([1.0, 2.00001]))
    assert not reference.explains(np.float32([1.0, 2.001]))
    assert not reference.explains(np.float32([1.0]))
    assert not reference.explains(np.float32([1.0, np.nan]))


@pytest.mark.parametrize(
    ("values", "ranks"),
    [
        (np.zeros(3, np.float32), True),
        (np.zeros((3, 1)), True),
        (np.zeros((3, 2)), False),
        (np.arange(3), False),
        (np.array([b"a", b"b"], object), False),
        (np.zeros(1), False),
    ],
)
def test_examples_are_ranked_by_one_floating_point_number_each(values, ranks):
    assert _reference(values).ranks == ranks


@pytest.mark.parametrize(
    ("values", "extremes"),
    [
        (np.float32([0.1, 0.9, -0.5, 0.3]), (1, 2)),
        (np.array([5, 1, 7]), (2, 1)),
        (np.array([[0.0, 9.0], [1.0, 2.0], [-3.0, 0.0]]), (0, 2)),
        (np.array([np.nan, 0.5, np.inf]), (2, 0)),
        (np.array([b"x", b"a", b"z"], object), (0, 2)),
    ],
)
def test_the_extremes_are_the_examples_with_the_highest_and_the_lowest_value(values, extremes):
    assert _reference(values).extremes() == extremes


def test_moves_are_counted_in_epsilons_of_the_values_size():
    reference = _reference(np.float32([1.0, 4.0, 0.5]))
    moved = np.array([2.0**-23, 2.0**-20, np.inf])
    np.testing.assert_allclose(reference.epsilons(moved, np.arange(3)), [1, 2])


@pytest.mark.parametrize(
    "rows",
    [
        [np.array(1.0), np.array(2.0)],
        [np.zeros(2), np.zeros(2)],
        [np.zeros((1, 3)), np.zeros((1, 5))],
    ],
)
def test_an_output_that_has_no_row_of_its_own_even_alone_is_a_problem(rows):
    comparison = Comparison(Reference(rows, DEFAULT))
    comparison.add(np.zeros(2), np.arange(2))
    assert "shape" in comparison.move().problem
    assert not comparison.move().passed
