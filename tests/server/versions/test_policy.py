import pytest

from tfnorm.server.versions.policy import NEWEST, VersionPolicy


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (NEWEST, [10]),
        (VersionPolicy(latest=2), [10, 9]),
        (VersionPolicy(latest=9), [10, 9, 1]),
        (VersionPolicy(latest=None), [10, 9, 1]),
        (VersionPolicy(specific=frozenset({1, 9, 11})), [9, 1]),
        (VersionPolicy(specific=frozenset({11})), []),
    ],
)
def test_the_versions_to_serve_come_newest_first(policy, wanted):
    assert policy.wanted([1, 9, 10]) == wanted
