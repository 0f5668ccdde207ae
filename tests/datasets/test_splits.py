from dataclasses import replace

import numpy as np
import pytest

from tfnorm.datasets import Splits, arrays, as_splits, synthetic
from tfnorm.errors import InputError
from tfnorm.schema import Id, Number, Schema

SCHEMA = Schema(
    [Id("item", size=9), Number("price", scale="standard")], target=["item"], group="user"
)


def log(prices, schema=SCHEMA):
    count = len(prices)
    columns = {
        "item": np.arange(count) % 9,
        "price": np.array(prices),
        "user": np.arange(count) // 2,
    }
    return arrays({**columns, "label": np.arange(count) % 2}, schema)


def test_numbers_are_standardized_by_the_training_log_in_all_splits():
    splits = Splits("prices", log([1.0, 3.0]), log([100.0]), log([200.0])).standardized()
    for part in (splits.train, splits.test, splits.validation):
        price = part.schema["price"]
        assert (price.mean, price.deviation) == (2.0, 1.0)


def test_logs_of_different_schemas_are_refused():
    with pytest.raises(InputError, match="test has another schema than train"):
        Splits("prices", log([1.0]), log([1.0], replace(SCHEMA, group=None)))


def test_a_click_log_in_memory_becomes_one():
    click_log = synthetic(train_size=50, test_size=40)
    splits = as_splits(click_log)
    assert (len(splits.train), len(splits.test), splits.name) == (50, 40, "synthetic")
    assert splits.best_auc == click_log.best_auc
    assert as_splits(splits) is splits


def test_without_users_it_becomes_one_without_a_group():
    click_log = synthetic(train_size=50, test_size=40)
    anonymous = replace(click_log, test=replace(click_log.test, users=None))
    assert as_splits(anonymous).schema.group is None


def test_users_are_split_without_one_in_common():
    whole = log(list(range(1000)))
    rest, chosen = whole.split_by_user(0.2)
    users = [np.concatenate([part.users for part in one.parts()]) for one in (rest, chosen)]
    assert not set(users[0]) & set(users[1])
    assert len(rest) + len(chosen) == 1000
    assert len(chosen) == pytest.approx(200, abs=70)
    other = whole.split_by_user(0.2, seed=1)[1]
    assert set(next(other.parts()).users) != set(users[1])
    assert len({whole.fingerprint, rest.fingerprint, chosen.fingerprint}) == 3


def test_without_a_group_rows_are_split_as_users_are():
    whole = log(list(range(1000)), replace(SCHEMA, group=None))
    rest, chosen = (
        np.concatenate([part.features["price"] for part in one.parts()])
        for one in whole.split_by_user(0.2)
    )
    assert sorted([*rest, *chosen]) == list(range(1000))
    assert len(chosen) == pytest.approx(200, abs=60)


def test_a_split_that_can_not_be_is_refused():
    with pytest.raises(InputError, match="share is 1; it must be between 0 and 1"):
        log([1.0]).split_by_user(1)
    with pytest.raises(InputError, match="both parts need some"):
        log([1.0, 2.0]).split_by_user(0.5)
