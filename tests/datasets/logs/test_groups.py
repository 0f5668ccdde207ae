import numpy as np
import pytest

from tfnorm.datasets.logs.groups import hashes, shares

GROUPS = {
    "integers": np.arange(20_000),
    "negative integers": -np.arange(20_000),
    "strings": np.array([f"user-{n}" for n in range(20_000)]),
    "bytes": np.array([f"{n:x}".encode() for n in range(20_000)], object),
}
every_kind = pytest.mark.parametrize("kind", GROUPS)


@every_kind
def test_shares_are_as_if_drawn_uniformly_and_differ_with_the_seed(kind):
    found, other = shares(GROUPS[kind]), shares(GROUPS[kind], seed=1)
    for values in (found, other):
        assert values.min() >= 0 and values.max() < 1
        counts = np.histogram(values, 20, (0, 1))[0]
        # 1,000 each, give or take 5 standard deviations of a binomial.
        assert np.abs(counts - 1_000).max() < 160
    assert abs(np.corrcoef(found, other)[0, 1]) < 0.03
    assert len(np.unique(found)) == 20_000


@every_kind
def test_a_group_has_the_same_share_in_every_order_and_company(kind):
    rows = np.random.default_rng(0).integers(0, 50, 300)
    np.testing.assert_array_equal(shares(GROUPS[kind][rows]), shares(GROUPS[kind][:50])[rows])


def test_hashes_are_those_of_splitmix64():
    """The first outputs of the published generator, seeded with 0 and with 1234567."""
    found = hashes(np.array([0, 1234567], np.uint64))
    assert [int(value) for value in found] == [0xE220A8397B1DCDAF, 6457827717110365317]
