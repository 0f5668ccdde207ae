import json

import numpy as np
import pytest

from tfnorm.replay.partial.points import KEPT, Points


def drawn(calls, seed=0):
    points = Points(seed)
    for number in calls:
        logged = number + np.arange(10) / 100
        points.add(np.full(10, number), np.arange(10), logged, -logged)
    return points


def test_all_rows_are_kept_where_they_are_few():
    points = drawn(range(5))
    assert sorted(points.logged) == pytest.approx(
        sorted(n + k / 100 for n in range(5) for k in range(10))
    )
    np.testing.assert_array_equal(points.new, -points.logged)


def test_parts_merge_to_what_one_would_have_drawn():
    whole = drawn(range(1000))
    merged = Points.from_dict(json.loads(json.dumps(drawn(range(1, 1000, 2)).to_dict())))
    merged.merge(drawn(range(0, 1000, 2)))
    assert len(whole.logged) == KEPT
    np.testing.assert_array_equal(merged.logged, whole.logged)


def test_the_draw_is_even_and_depends_on_the_seed():
    points, other = drawn(range(2000)), drawn(range(2000), seed=1)
    assert not np.array_equal(points.logged, other.logged)
    for found in (points.logged, other.logged):
        # Of 2,000 in [0, 2000), 4 standard deviations of their mean.
        assert abs(found.mean() - 1000) < 4 * 2000 / np.sqrt(12 * KEPT)
        in_call = (found * 100).round() % 100
        assert np.bincount(in_call.astype(int), minlength=10).min() > KEPT / 10 * 0.7
