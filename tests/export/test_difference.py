import ml_dtypes
import numpy as np
import pytest

from tfnorm.export.difference import difference


def test_scores_are_equal_up_to_rounding_and_no_further():
    score = np.array([[0.5], [2.0], [1e-9]], np.float32)
    assert difference({"s": score * (1 + 1e-6)}, {"s": score}, 1e-5) is None
    assert difference({"s": score + 1e-7}, {"s": score}, 1e-5) is None
    assert difference({"s": score * (1 + 1e-4)}, {"s": score}, 1e-5) == pytest.approx(
        2e-4, rel=1e-2
    )
    assert difference({"s": score + 1e-4}, {"s": score}, 1e-5) == pytest.approx(1e-4, rel=1e-2)


@pytest.mark.filterwarnings("error")
def test_scores_that_are_not_finite_are_equal_to_the_same_alone():
    score = np.array([np.nan, np.inf, 1.0], np.float32)
    assert difference({"s": score}, {"s": score}, 1e-5) is None
    assert difference({"s": np.ones(3, np.float32)}, {"s": score}, 1e-5) is not None
    other = np.array([np.nan, np.inf, 1.1], np.float32)
    assert difference({"s": other}, {"s": score}, 1e-5) == pytest.approx(0.1)


def test_scores_with_an_imaginary_part_are_compared_with_it():
    score = np.array([1 + 2j, 3], np.complex64)
    assert difference({"s": score * (1 + 1e-6)}, {"s": score}, 1e-5) is None
    assert difference({"s": score.conj()}, {"s": score}, 1e-5) == pytest.approx(4)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_scores_of_few_digits_may_differ_by_64_of_their_last(dtype):
    eps = float(ml_dtypes.finfo(dtype).eps)
    score = np.ones(3, dtype)
    assert difference({"s": score + dtype(50 * eps)}, {"s": score}, 1e-5) is None
    assert difference({"s": score + dtype(100 * eps)}, {"s": score}, 1e-5) is not None


def test_the_largest_move_of_all_outputs_counts():
    wanted = {"a": np.ones(2), "b": np.ones(2)}
    assert difference({"a": np.ones(2) + 0.1, "b": np.ones(2) + 0.3}, wanted, 1e-5) == (
        pytest.approx(0.3)
    )


def test_numbers_and_strings_are_compared_exactly():
    ids, words = np.array([1, 2]), np.array([b"a", b"b"], object)
    assert difference({"i": ids, "w": words}, {"i": ids, "w": words}, 1e-5) is None
    assert difference({"i": ids + 1}, {"i": ids}, 1e-5) == 1
    assert difference({"w": words[::-1]}, {"w": words}, 1e-5) is not None
