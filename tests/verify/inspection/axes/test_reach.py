"""Whether an axis is the batch's."""

import numpy as np
import pytest

from tfnorm.verify.inspection.axes.reach import Crossing, touches


@pytest.mark.parametrize(
    ("chosen", "batch", "expected"),
    [
        ([0], {0}, True),
        ([1, 2], {0}, False),
        ([-3], {0}, True),
        ([1, -1], {2}, True),
        (2, {2}, True),
        ([[1], [0]], {0}, True),
        ([], {0}, False),
        ([0, 1, 2], (), False),
        (None, {0}, False),
    ],
)
def test_an_axis_is_told_from_either_end(chosen, batch, expected):
    chosen = None if chosen is None else np.array(chosen, np.int32)
    assert touches(chosen, batch, rank=3) is expected


def test_a_crossing_is_certain_unless_it_says_that_it_is_not():
    assert Crossing("sums").certain and not Crossing("sums", certain=False).certain
