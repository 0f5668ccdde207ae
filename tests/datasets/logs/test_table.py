"""What becomes of what is null in a part of a log."""

import numpy as np
import pytest

from tfnorm.datasets.logs.table import Raw, Table, filled, taken, wanted
from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number, Schema
from tfnorm.schema.rows import Values

SCHEMA = Schema(
    [
        Id("user", size=9, hashed=True),
        Id("item", size=9),
        Number("v", length=2),
        History("h", of={"item": "seen"}, numbers=["s"]),
    ],
    target=["item"],
    label="click",
    group="user",
    time="ts",
)
NONE = np.zeros(0, np.int64)


def raw(values, null=(), lengths=None, null_values=()):
    count = len(values) if lengths is None else len(lengths)
    rows = np.isin(np.arange(count), null)
    lengths = None if lengths is None else np.array(lengths)
    return Raw(np.array(values), lengths, rows, np.array(null_values, np.int64))


def table(**changed):
    """Three rows, the first of which is number 40 of its file."""
    columns = {
        "user": raw([b"a", b"b", b"c"]),
        "item": raw([1, 2, 3]),
        "v": raw([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "seen": raw([4, 5, 6], lengths=[2, 0, 1]),
        "s": raw([0.5, 1.5, 2.5], lengths=[2, 0, 1]),
        "click": raw([0, 1, 0]),
        "ts": raw([10, 11, 12]),
    }
    return Table({**columns, **changed}, "a file", 40)


def test_the_columns_that_are_read_are_those_of_features_and_roles():
    found = {name: column.dtype for name, column in wanted(SCHEMA).items()}
    # The group is a feature, too, and is read as that.
    assert found == {
        "user": "string",
        "item": "int64",
        "v": "float32",
        "seen": "int64",
        "s": "float32",
        "click": "float32",
        "ts": "any",
    }
    assert len(table()) == 3


@pytest.mark.parametrize("nulls", ["error", "missing", "drop"])
def test_where_nothing_is_null_all_stays_as_it_is(nulls):
    found, kept = filled(table(), SCHEMA, nulls)
    assert kept.all() and found.keys() == wanted(SCHEMA).keys()
    assert found["seen"].values.tolist() == [4, 5, 6] and found["seen"].lengths.tolist() == [
        2,
        0,
        1,
    ]


NULLS = {
    "item": raw([1, 77, 3], null=[1]),
    "user": raw([b"a", b"?", b"c"], null=[1]),
    "v": raw([[1.0, 2.0], [3.0, 9.0], [5.0, 6.0]], null=[1]),
    "seen": raw([4, 5, 6], lengths=[2, 0, 1], null=[1]),
    "s": raw([4.0, 5.0, 6.0], lengths=[0, 3, 0], null_values=[1]),
}


@pytest.mark.parametrize("name", NULLS)
def test_a_null_is_an_error_missing_or_drops_its_row(name):
    given = table(**{name: NULLS[name]})
    with pytest.raises(
        InputError, match=f"a file, row 41, column '{name}' is null; .*nulls=.missing"
    ):
        filled(given, SCHEMA, "error")
    found, kept = filled(given, SCHEMA, "missing")
    assert kept.all()
    assert (
        found[name].values.tolist()
        == {
            "item": [1, 0, 3],
            "user": [b"a", b"", b"c"],
            "v": [[1, 2], [0, 0], [5, 6]],
            "seen": [4, 5, 6],
            "s": [4, 0, 6],
        }[name]
    )
    _, kept = filled(given, SCHEMA, "drop")
    assert kept.tolist() == [True, False, True]
    assert NULLS[name].values.tolist() == given.columns[name].values.tolist()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("click", raw([0, 1, 0], null=[2])),
        ("ts", raw([0, 1, 0], null=[2])),
        # Its padding tells where a history ends.
        ("seen", raw([4, 5, 6], lengths=[2, 0, 1], null_values=[2])),
    ],
)
def test_a_label_a_time_or_a_step_of_a_history_can_not_be_missing(name, column):
    given = table(**{name: column})
    for nulls in ("error", "missing"):
        with pytest.raises(InputError, match=f"row 42, column '{name}' is null") as caught:
            filled(given, SCHEMA, nulls)
        assert '"missing"' not in str(caught.value)
    assert filled(given, SCHEMA, "drop")[1].tolist() == [True, True, False]


def test_an_integer_that_is_missing_from_a_hashed_column_is_the_empty_string():
    given = table(user=raw([7, 0, 12], null=[1]))
    assert filled(given, SCHEMA, "missing")[0]["user"].values.tolist() == [b"7", b"", b"12"]


def test_nulls_in_several_columns_drop_every_row_that_has_one():
    given = table(item=raw([1, 2, 3], null=[0]), seen=raw([4], lengths=[0, 0, 1], null_values=[0]))
    assert filled(given, SCHEMA, "drop")[1].tolist() == [False, True, False]


def test_taken_rows_have_their_lists():
    given = {
        "item": Values(np.array([1, 2, 3])),
        "seen": Values(np.array([4, 5, 6]), np.array([2, 0, 1])),
    }
    found = taken(given, np.array([True, False, True]))
    assert found["item"].values.tolist() == [1, 3] and found["item"].lengths is None
    assert found["seen"].values.tolist() == [4, 5, 6] and found["seen"].lengths.tolist() == [2, 1]
    found = taken(given, np.array([False, True, True]))
    assert found["seen"].values.tolist() == [6] and found["seen"].lengths.tolist() == [0, 1]
