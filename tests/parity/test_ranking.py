import itertools
import json

import numpy as np
import pytest

from tfnorm.parity.ranking import Ranking


def by_pairs(x, y):
    """Pairs, pairs in another order, and Kendall's tau-b, by looking at each pair."""
    concordant = discordant = changed = tied_x = tied_y = 0
    pairs = list(itertools.combinations(range(len(x)), 2))
    for i, j in pairs:
        a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
        changed += a != b
        concordant += a * b > 0
        discordant += a * b < 0
        tied_x += a == 0
        tied_y += b == 0
    across = np.sqrt(float(len(pairs) - tied_x) * float(len(pairs) - tied_y))
    return len(pairs), changed, (concordant - discordant) / across if across else None


@pytest.mark.parametrize("seed", range(30))
def test_a_request_is_ranked_as_by_each_pair(seed):
    rng = np.random.default_rng(seed)
    count, values = int(rng.integers(2, 70)), int(rng.integers(1, 40))
    x, y = rng.integers(0, values, (2, count)).astype(float)
    ranking = Ranking()
    ranking.add(x, y)
    pairs, changed, tau = by_pairs(x, y)
    assert (ranking.pairs, ranking.pairs_changed) == (pairs, changed)
    assert ranking.mean_tau == (None if tau is None else pytest.approx(tau, abs=1e-12))
    assert ranking.first_changed == (np.argmax(x) != np.argmax(y))


def test_many_rows_take_no_square_of_them():
    x = np.arange(200_000.0)
    ranking = Ranking()
    ranking.add(x, -x)
    assert ranking.pairs_changed == ranking.pairs == 200_000 * 199_999 // 2
    assert ranking.mean_tau == pytest.approx(-1)


def test_one_row_is_no_ranking_and_nan_has_none():
    ranking = Ranking()
    ranking.add(np.array([1.0]), np.array([2.0]))
    ranking.add(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    assert (ranking.requests, ranking.unranked, ranking.mean_tau) == (0, 1, None)


def test_infinite_scores_are_ranked():
    ranking = Ranking()
    ranking.add(np.array([-np.inf, 0, np.inf]), np.array([np.inf, 0, -np.inf]))
    assert ranking.pairs_changed == 3


def test_requests_that_are_added_together_are_what_each_is_by_itself():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 30, 60)
    x, y = rng.integers(0, 9, (2, sizes.sum())).astype(float)
    x[rng.integers(0, len(x), 5)] = np.nan
    together, apart = Ranking(), Ranking()
    together.add(x, y, sizes)
    for rows in np.split(np.arange(len(x)), np.cumsum(sizes)[:-1]):
        apart.add(x[rows], y[rows])
    assert together.tau == pytest.approx(apart.tau)
    assert {**together.to_dict(), "tau": 0} == {**apart.to_dict(), "tau": 0}
    assert together.unranked > 0


def test_parts_merge_to_the_whole():
    rng = np.random.default_rng(0)
    calls = [(rng.normal(size=n), rng.normal(size=n)) for n in (3, 5, 8, 13)]
    whole, parts = Ranking(), [Ranking(), Ranking()]
    for place, call in enumerate(calls):
        whole.add(*call)
        parts[place % 2].add(*call)
    merged = Ranking.from_dict(json.loads(json.dumps(parts[1].to_dict())))
    merged.merge(parts[0])
    assert merged.tau == pytest.approx(whole.tau)
    assert {**merged.to_dict(), "tau": 0} == {**whole.to_dict(), "tau": 0}
