"""Rows of a log as arrays for a model: checked, cut, padded and cast."""

import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.schema import Column
from tfnorm.schema.rows import Values, as_bytes, as_columns, fitted


def columns(*given):
    return {column.name: column for column in given}


USER, ITEM = Column("user", "string", "user"), Column("item", "int32", "item", size=101)
TAGS = Column("tags", "string", "tags", shape=(None,))
PRICE, VECTOR = Column("price", "float32", "price"), Column("v", "float32", "v", shape=(2,))
SEEN = Column("seen", "int64", "history", size=101, shape=(None,), limit=3)
WORDS = Column("words", "string", "history", shape=(None,), limit=3, partner="seen")
SECONDS = Column("seconds", "float32", "history", shape=(None,), limit=3, partner="seen")
COLUMNS = columns(USER, ITEM, TAGS, PRICE, VECTOR, SEEN, WORDS, SECONDS)


def row(**changed):
    return {
        "user": "u1",
        "item": 7,
        "tags": ["x", "y"],
        "price": 2.5,
        "v": (1, 2.5),
        "seen": [1, 2, 3, 4],
        "words": ["toys", "books", "", "toys"],
        "seconds": [1.0, 2.0, 3.0, 4.0],
        **changed,
    }


def examples(*rows, columns=COLUMNS):
    return fitted(columns, as_columns(columns, rows), "examples")


def test_lists_are_cut_to_the_newest_steps_and_padded_at_the_end():
    found = examples(
        row(), row(seen=[5], words=["böoks"], seconds=np.array([9]), tags=[], v=[3, 4])
    )
    assert found["seen"].tolist() == [[2, 3, 4], [5, 0, 0]]
    assert found["words"].tolist() == [[b"books", b"", b"toys"], ["böoks".encode(), b"", b""]]
    assert found["seconds"].tolist() == [[2.0, 3.0, 4.0], [9.0, 0.0, 0.0]]
    assert found["tags"].tolist() == [[b"x", b"y"], [b"", b""]]
    assert found["v"].tolist() == [[1.0, 2.5], [3.0, 4.0]]
    kinds = {name: array.dtype.name for name, array in found.items() if array.dtype.kind != "S"}
    assert kinds == {
        "item": "int32",
        "price": "float32",
        "v": "float32",
        "seen": "int64",
        "seconds": "float32",
    }


def test_the_oldest_steps_are_kept_where_that_is_asked_for():
    oldest = columns(Column("x", "int64", "h", shape=(None,), limit=2, keep="oldest"))
    assert examples({"x": [4, 5, 6]}, {"x": [7]}, columns=oldest)["x"].tolist() == [[4, 5], [7, 0]]


def test_a_list_without_a_limit_is_as_long_as_the_longest():
    found = examples(row(tags=["a"] * 60), row())["tags"]
    assert found.shape == (2, 60) and (found[1, 2:] == b"").all()


def test_an_integer_that_is_hashed_is_its_decimal_digits():
    assert examples(row(user=12), row(user=-3))["user"].tolist() == [b"12", b"-3"]


def test_lists_that_are_all_empty_have_a_step_of_padding():
    found = examples(row(seen=[], words=[], seconds=[], tags=[]))
    assert found["seen"].tolist() == [[0]]
    assert found["words"].tolist() == found["tags"].tolist() == [[b""]]


def test_no_rows_are_arrays_without_rows():
    found = examples()
    assert {name: array.shape for name, array in found.items()} == {
        **dict.fromkeys(("user", "item", "price"), (0,)),
        "v": (0, 2),
        **dict.fromkeys(("tags", "seen", "words", "seconds"), (0, 1)),
    }


def test_a_very_long_string_does_not_make_the_others_as_wide():
    found = examples(row(user="x" * 10_000), row())["user"]
    assert found.dtype == object
    assert found.tolist() == [b"x" * 10_000, b"u1"]


@pytest.mark.parametrize("strings", [["a", b"\xff", "ü"], ["", ""], ["a\0", "b"], ["x" * 65, "y"]])
def test_strings_are_utf_8_and_keep_every_byte(strings):
    expected = [s.encode() if isinstance(s, str) else s for s in strings]
    for shape in ((len(strings),), (1, len(strings), 1)):
        found = as_bytes(np.array(strings, object).reshape(shape))
        assert found.shape == shape and found.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"item": 101}, r"'item' is 101; accepted: ids in \[0, 101\)"),
        ({"item": -1}, "'item' is -1; accepted: ids in"),
        ({"item": 2**31}, "'item' is 2147483648; accepted: what fits into int32"),
        ({"item": 2**70}, "'item' is 1180591620717411303424; accepted: what fits into int32"),
        ({"item": "x"}, "'item' is 'x'; accepted: whole numbers"),
        ({"item": None}, "'item' is None; accepted: whole numbers"),
        ({"item": 1.5}, "'item' is 1.5; accepted: whole numbers"),
        ({"item": [1]}, r"'item' is \[1\]; accepted: one value"),
        ({"user": 1.5}, "'user' is 1.5; accepted: strings or integers"),
        ({"user": None}, "'user' is None; accepted: strings or integers"),
        ({"tags": "x"}, "'tags' is 'x'; accepted: a list"),
        ({"tags": ["x", ["y"]]}, r"'tags' is \['y'\]; accepted: strings or integers"),
        ({"price": float("nan")}, "'price' is nan; accepted: finite float32 numbers"),
        ({"price": 1e300}, r"'price' is 1e\+300; accepted: finite float32 numbers"),
        ({"price": float("-inf")}, "'price' is -inf; accepted: finite float32 numbers"),
        ({"price": "2.5"}, "'price' is '2.5'; accepted: numbers"),
        ({"v": [1]}, r"'v' is \[1\]; accepted: a list of 2"),
        ({"v": [1, "x"]}, "'v' is 'x'; accepted: numbers"),
        (
            {"seen": [1, 0, 3, 4]},
            'has 0 in a history, .*; accepted: other ids, or the feature as "h',
        ),
        ({"seen": [1, 2, [3], 4]}, r"'seen' is \[3\]; accepted: whole numbers"),
        ({"seen": [1, 2, 3, 101]}, "'seen' is 101; accepted: ids in"),
        ({"seconds": [1.0]}, "'seconds' has 1 values where 'seen' has 4; accepted: as many"),
    ],
)
def test_a_value_that_is_not_as_the_column_says_is_refused_by_row_and_column(changed, reason):
    with pytest.raises(
        InputError, match=f"^examples, row 1, column '{next(iter(changed))}'"
    ) as caught:
        examples(row(), row(**changed), row())
    assert caught.match(reason)


def test_an_empty_string_in_a_history_of_strings_is_refused_where_it_tells_the_end():
    first = columns(Column("h", "string", "h", shape=(None,), limit=3))
    with pytest.raises(
        InputError, match=r"has the empty string in a history.*accepted: other ids$"
    ):
        examples({"h": ["a", ""]}, columns=first)


def test_a_row_without_a_column_is_refused():
    lacking = row()
    del lacking["price"]
    with pytest.raises(InputError, match="row 1 has no 'price'; accepted: 'user', 'item'"):
        examples(row(), lacking)


def test_messages_have_the_numbers_that_rows_are_given():
    found = {"item": Values(np.array([3, 500, 4]))}
    with pytest.raises(InputError, match="a file, row 17, column 'item' is 500"):
        fitted(columns(ITEM), found, "a file", [2, 17, 30])


def test_a_column_of_another_type_is_refused_as_a_whole():
    for values, kind in ((np.array([b"3"]), "strings"), (np.array([3.0]), "float64")):
        with pytest.raises(InputError, match=f"'item' holds {kind}; accepted: whole numbers"):
            fitted(columns(ITEM), {"item": Values(values)}, "a file")
    vectors = {"price": Values(np.ones((3, 2)))}
    with pytest.raises(InputError, match=r"'price' has \[2\] numbers; accepted: \[\] a row"):
        fitted(columns(PRICE), vectors, "a file")


def test_objects_that_are_numbers_are_numbers_to_the_last_digit():
    given = [3, np.int8(4), -(2**63), 2**63 - 1, np.uint64(2**62 + 1)]
    any_id = columns(Column("item", "int64", "item"))
    found = fitted(any_id, {"item": Values(np.array(given, object))}, "a file")
    assert found["item"].tolist() == given
    assert examples(row(price=True), row(price=3.4028235e38))["price"].tolist() == [
        1.0,
        float(np.finfo(np.float32).max),
    ]


def test_the_row_of_a_value_is_that_of_its_list():
    values = Values(np.arange(5), np.array([2, 0, 3]))
    assert [values.row_of(index) for index in range(5)] == [0, 0, 2, 2, 2]
    assert Values(np.arange(5)).row_of(4) == 4
