"""Logs in memory."""

import click_rows as clicks
import numpy as np
import pytest
from click_rows import COUNT, assert_same, whole

from tfnorm import datasets
from tfnorm.datasets.logs.arrays import arrays, as_logs
from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number, Schema

SCHEMA = Schema(
    [Id("item", size=9), Number("x"), History("h", of={"item": "seen"}, numbers=["s"])],
    target=["item"],
)


def columns(**changed):
    return {
        "item": np.array([1, 2, 3]),
        "x": np.array([1.5, 2.5, 3.5]),
        "seen": np.array([[4, 5], [6, 0], [0, 0]]),
        "s": np.array([[1.0, 0.0], [0.0, 9.0], [9.0, 9.0]]),
        "label": [0, 1, 1],
        **changed,
    }


def test_arrays_give_the_examples_of_their_rows(expected):
    found = whole(arrays(clicks.as_arrays(clicks.rows(COUNT)), clicks.SCHEMA))
    assert_same(found.features, expected)


def test_padded_arrays_give_the_examples_that_they_are(expected):
    columns = {**expected, "click": np.arange(COUNT) % 2, "ts": np.arange(COUNT)}
    assert_same(whole(arrays(columns, clicks.SCHEMA)).features, expected)


def test_the_ids_of_a_history_tell_where_the_numbers_beside_them_end():
    """A 0 is a number like another, and what follows the end does not matter."""
    found = whole(arrays(columns(), SCHEMA)).features
    assert found["s"].tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    assert found["seen"].tolist() == [[4, 5], [6, 0], [0, 0]]


def test_nan_is_null_in_values_and_in_lists():
    given = columns(x=np.array([1.5, np.nan, 3.5]))
    with pytest.raises(InputError, match="arrays, row 1, column 'x' is null"):
        whole(arrays(given, SCHEMA))
    assert whole(arrays(given, SCHEMA, nulls="missing")).features["x"].tolist() == [1.5, 0, 3.5]
    given = columns(s=np.array([[1.0, np.nan], [2.0, np.nan], [0.0, 0.0]]))
    # The second NaN comes after the end.
    assert whole(arrays(given, SCHEMA, nulls="drop")).features["item"].tolist() == [2, 3]


def test_none_among_objects_is_null():
    lists = np.empty(3, object)
    lists[:] = [[0.5, None], [1.0], []]
    given = columns(item=np.array([1, None, 3], object), s=lists)
    with pytest.raises(InputError, match="arrays, row 1, column 'item' is null"):
        whole(arrays(given, SCHEMA))
    found = whole(arrays(given, SCHEMA, nulls="missing")).features
    assert found["item"].tolist() == [1, 0, 3]
    assert found["s"].tolist() == [[0.5, 0.0], [1.0, 0.0], [0.0, 0.0]]
    assert whole(arrays(given, SCHEMA, nulls="drop")).features["item"].tolist() == [3]


def test_lists_may_be_lists_or_arrays():
    lists = np.empty(3, object)
    lists[:] = [[4, 5], np.array([6]), ()]
    numbers = np.empty(3, object)
    numbers[:] = [[1.0, 0.0], [0.0], []]
    found = whole(arrays(columns(seen=lists, s=numbers), SCHEMA)).features
    assert_same(found, whole(arrays(columns(), SCHEMA)).features)


def test_many_rows_are_read_a_part_at_a_time_and_numbered_on():
    count = 10_000
    schema = Schema([Id("item", size=9)], target=["item"])
    given = {"item": np.arange(count) % 9, "label": np.zeros(count)}
    log = arrays(given, schema)
    assert len(log) == count
    assert max(map(len, log.parts())) < count / 2
    given["item"][7000] = 9
    with pytest.raises(InputError, match="arrays, row 7000, column 'item' is 9"):
        list(log.parts())


def test_a_shuffle_mixes_rows_that_are_far_from_each_other(monkeypatch):
    monkeypatch.setattr("tfnorm.datasets.logs.arrays._ROWS", 10)
    schema = Schema([Id("item", size=1001)], target=["item"])
    log = arrays({"item": np.arange(1000), "label": np.zeros(1000)}, schema)
    batches = log.batches(10, shuffle_seed=0, buffer=20)
    order = np.concatenate([features["item"] for features, _ in batches])
    assert sorted(order) == list(range(1000))
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.4


def test_the_mark_is_of_all_values():
    (own,) = arrays(columns(), SCHEMA).blocks
    for changed in (columns(x=np.array([1.5, 2.5, 3.6])), columns(label=[0, 1, 0])):
        (other,) = arrays(changed, SCHEMA).blocks
        assert other.mark != own.mark
    assert arrays(columns(), SCHEMA, name="b").blocks[0].mark == own.mark


def test_a_click_log_s_splits_are_logs():
    log = datasets.synthetic(train_size=20, test_size=10)
    train, test = as_logs(log)
    assert (len(train), len(test), train.schema) == (20, 10, log.schema)
    found = whole(test)
    np.testing.assert_array_equal(found.features["item"], log.test.features["item"])
    np.testing.assert_array_equal(found.labels, log.test.labels)
    np.testing.assert_array_equal(found.users, log.test.users)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: {k: v for k, v in c.items() if k != "item"}, "arrays has no 'item'"),
        (lambda c: {**c, "item": c["item"][:2]}, "arrays has 30 of 'user', 2 of 'item'"),
        (lambda c: {**c, "tags": c["item"]}, "column 'tags' is int64; accepted: lists"),
        (lambda c: {**c, "item": c["embedding"]}, r"column 'item' has the shape \[2\] a row"),
        (lambda c: {**c, "item": 3}, "arrays has 30 of 'user', 0 of 'item'"),
    ],
)
def test_arrays_that_are_no_log_are_refused(change, reason):
    with pytest.raises(InputError, match=reason):
        whole(arrays(change(clicks.as_arrays(clicks.rows(COUNT))), clicks.SCHEMA))
