import json

import numpy as np
import pytest

from tfnorm.replay.partial.quantiles import ERROR, Quantiles

SHARES = (0, 0.01, 0.5, 0.9, 0.99, 0.999, 1)


def drawn(seed):
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(-12, 5, rng.integers(1, 3000)))
    values[rng.random(len(values)) < rng.random()] = 0
    return values


def counted(*parts):
    made = Quantiles()
    for part in parts:
        made.add(part)
    return made


@pytest.mark.parametrize("seed", range(20))
def test_a_quantile_is_within_the_stated_error(seed):
    values = drawn(seed)
    made = counted(values)
    for share in SHARES:
        exact = np.quantile(values, share, method="lower")
        assert abs(made.quantile(share) - exact) <= ERROR * exact * (1 + 1e-9)


def test_zeros_and_infinity_are_exact():
    made = counted(np.array([0.0, 0.0, np.inf]))
    assert [made.quantile(q) for q in (0, 0.5, 1)] == [0, 0, np.inf]
    assert Quantiles().quantile(0.5) == 0


@pytest.mark.parametrize("seed", range(5))
def test_parts_merge_to_the_whole_in_any_order_and_as_json(seed):
    parts = np.array_split(np.append(drawn(seed), np.inf), 4)
    whole = counted(*parts)
    merged = Quantiles()
    for part in reversed(parts):
        merged.merge(Quantiles.from_dict(json.loads(json.dumps(counted(part).to_dict()))))
    assert merged.to_dict() == whole.to_dict()
    assert merged.count == whole.count


def test_memory_does_not_grow_with_the_numbers():
    made = counted(np.geomspace(1e-300, 1e300, 200_000))
    assert len(made.to_dict()["buckets"]) < 80_000
    before = len(made.to_dict()["buckets"])
    made.add(np.geomspace(1e-300, 1e300, 200_001))
    assert len(made.to_dict()["buckets"]) <= before + 1
