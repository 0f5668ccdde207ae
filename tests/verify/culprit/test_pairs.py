"""What of two batches must be the same."""

import numpy as np
import pytest

from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.rounding import EQUAL_SHAPES
from tfnorm.verify.culprit.rows import Alignment

ROWS = np.arange(1.0, 7.0).reshape(3, 2)


def _pair(first_last, second_last, *, longer=False):
    alignment = Alignment(3, (5, 5), (first_last, second_last))
    return Pair(({}, {}), {}, alignment, EQUAL_SHAPES, longer)


def _batch(last, filler):
    others = np.full((2, 2), filler)
    return np.concatenate([others, ROWS] if last else [ROWS, others])


@pytest.mark.parametrize("first_last", [False, True])
@pytest.mark.parametrize("second_last", [False, True])
def test_outputs_are_the_same_where_the_watched_rows_are(first_last, second_last):
    pair = _pair(first_last, second_last)
    first, second = _batch(first_last, 8.0), _batch(second_last, 9.0)
    assert pair.same(first, second)
    assert not pair.moved((3, 2), first, second)
    rounded = second * (1 + 2 * np.finfo(np.float64).eps)
    assert not pair.same(first, rounded)
    assert not pair.moved((3, 2), first, rounded)
    assert pair.moved((3, 2), first, 1.01 * second)


def test_all_rows_of_a_longer_batch_are_watched():
    pair = _pair(False, False, longer=True)
    second = _batch(False, 8.0)
    assert pair.same(_batch(False, 8.0), second)
    second[-1] += 1
    assert not pair.same(_batch(False, 8.0), second)


def test_an_output_without_rows_is_compared_whole():
    pair = _pair(False, True)
    assert pair.same(np.float32(1), np.float32(1))
    assert not pair.same(np.float32(1), np.float32(2))
