import numpy as np
import pytest

from tfnorm.datasets import Examples, split_by_user, synthetic
from tfnorm.errors import InputError


@pytest.fixture(scope="module")
def examples():
    return synthetic(train_size=3_000, test_size=100).train


def test_no_user_is_in_both_parts_and_no_example_is_lost(examples):
    rest, chosen = split_by_user(examples, 0.2)
    users = set(examples.users)
    assert set(rest.users) | set(chosen.users) == users
    assert not set(rest.users) & set(chosen.users)
    assert len(set(chosen.users)) == round(0.2 * len(users))
    assert len(rest) + len(chosen) == len(examples)


def test_the_columns_of_an_example_stay_together(examples):
    _, chosen = split_by_user(examples, 0.2)
    rows = np.isin(examples.users, chosen.users)
    np.testing.assert_array_equal(chosen.labels, examples.labels[rows])
    for name, column in examples.features.items():
        np.testing.assert_array_equal(chosen.features[name], column[rows])


def test_the_seed_decides_the_users(examples):
    first, again, other = (set(split_by_user(examples, 0.2, seed=s)[1].users) for s in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("share", [0.0, 1e-9, 1.0])
def test_a_part_without_users_is_refused(examples, share):
    with pytest.raises(InputError, match="both parts need some"):
        split_by_user(examples, share)


def test_examples_without_users_are_refused():
    with pytest.raises(InputError, match="the examples have no users"):
        split_by_user(Examples({}, np.zeros(3, np.float32)), 0.5)
