import numpy as np
import pytest

from tfnorm.examples.spread import Requests, Thinned, spread


@pytest.mark.parametrize("limit", [None, 5, 6, 99])
def test_of_no_more_than_the_limit_all_are_kept(limit):
    assert spread(5, limit).tolist() == [0, 1, 2, 3, 4]


def test_of_more_the_first_the_last_and_some_evenly_between_are_kept():
    assert spread(10, 4).tolist() == [0, 3, 6, 9]
    kept = spread(1_000_003, 1000)
    assert (kept[0], kept[-1], len(kept)) == (0, 1_000_002, 1000)
    assert set(np.diff(kept)) <= {1000, 1001, 1002}


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100, 12_345])
@pytest.mark.parametrize("limit", [None, 2, 8])
def test_rows_that_come_one_by_one_are_thinned_evenly_in_bounded_memory(count, limit):
    thinned = Thinned(limit)
    for row in range(count):
        thinned.add(row)
        assert limit is None or len(thinned._kept) < 2 * limit
    rows = thinned.rows()
    assert thinned.seen == count
    assert len(rows) == (count if limit is None else min(count, limit))
    if count:
        assert rows[0] == 0
    if len(rows) > 2:
        steps = np.diff(rows)
        assert steps.min() > 0 and steps.max() <= 2 * steps.min()


@pytest.mark.parametrize("limit", [1, 10, 99, None])
def test_requests_are_kept_whole_and_evenly_spread(limit):
    requests = Requests(limit)
    rng = np.random.default_rng(0)
    given = [[(n, row) for row in range(size)] for n, size in enumerate(rng.integers(1, 9, 500))]
    for request in given:
        requests.add(request)
    kept = requests.kept()
    rows = sum(map(len, kept))
    assert all(request in given for request in kept) and kept == sorted(kept)
    assert (requests.seen, requests.rows_seen) == (500, sum(map(len, given)))
    if limit is None:
        assert kept == given
    else:
        assert rows <= limit or len(kept) == 1
        assert limit < 20 or rows > limit / 2
        numbers = [request[0][0] for request in kept]
        assert limit < 20 or max(np.diff([0, *numbers, 500])) < 3 * 500 / len(numbers)


def test_one_request_is_kept_whatever_its_rows():
    requests = Requests(4)
    for _ in range(9):
        requests.add(list(range(100)))
    assert [len(request) for request in requests.kept()] == [100]
