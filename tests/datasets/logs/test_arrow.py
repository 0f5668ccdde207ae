"""Arrow's columns, of all of its types, as NumPy's."""

import datetime
import decimal
import sys

import numpy as np
import pyarrow as pa
import pytest

from tfnorm.datasets.logs import arrow
from tfnorm.errors import InputError
from tfnorm.schema import Column

DAY = datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc)
SECONDS = DAY.timestamp()


def read(array, shape=(), dtype="any"):
    """What becomes of a column; also as a part of a longer one and in several chunks."""
    column = {"c": Column("c", dtype, "c", shape=shape)}
    found = arrow.table(pa.table({"c": array}), column, "a file", 7).columns["c"]
    longer = pa.concat_arrays([array, array, array]).slice(len(array), len(array))
    chunks = pa.chunked_array([array.slice(0, 1), array.slice(1)])
    for other in (pa.record_batch({"c": longer}), pa.table({"c": chunks})):
        again = arrow.table(other, column, "a file", 7).columns["c"]
        np.testing.assert_array_equal(again.values, found.values)
        np.testing.assert_array_equal(again.null_rows, found.null_rows)
        np.testing.assert_array_equal(again.null_values, found.null_values)
        np.testing.assert_array_equal(again.lengths, found.lengths)
    return found


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([3, None, -4], pa.int8(), [3, 0, -4]),
        ([3, None, 2**64 - 1], pa.uint64(), [3, 0, 2**64 - 1]),
        ([True, None, False], pa.bool_(), [True, False, False]),
        ([1.5, None, -2.0], pa.float32(), [1.5, 0.0, -2.0]),
        ([np.float16(1.5), None, np.float16(2)], pa.float16(), [1.5, 0.0, 2.0]),
        (
            [decimal.Decimal("1.50"), None, decimal.Decimal("-2.00")],
            pa.decimal128(5, 2),
            [1.5, 0, -2],
        ),
        ([DAY, None, DAY], pa.timestamp("ns", "UTC"), [SECONDS, 0, SECONDS]),
        ([DAY, None, DAY], pa.timestamp("s", "Europe/Berlin"), [SECONDS, 0, SECONDS]),
        ([DAY.date(), None, DAY.date()], pa.date32(), [SECONDS, 0, SECONDS]),
        ([DAY.date(), None, DAY.date()], pa.date64(), [SECONDS, 0, SECONDS]),
        (["a", None, "bü"], pa.string(), [b"a", b"", "bü".encode()]),
        (["a", None, "bü"], pa.large_string(), [b"a", b"", "bü".encode()]),
        (["a", None, "bü"], pa.string_view(), [b"a", b"", "bü".encode()]),
        ([b"a", None, b"\xff"], pa.binary(), [b"a", b"", b"\xff"]),
        ([b"a", None, b"\xff"], pa.large_binary(), [b"a", b"", b"\xff"]),
        ([b"a", None, b"\xff"], pa.binary_view(), [b"a", b"", b"\xff"]),
        ([b"ab", None, b"cd"], pa.binary(2), [b"ab", b"", b"cd"]),
        (["a", None, "b"], pa.dictionary(pa.int8(), pa.string()), [b"a", b"", b"b"]),
        ([30, None, 40], pa.dictionary(pa.int8(), pa.int64()), [30, 0, 40]),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_a_column_of_any_type_is_an_array_and_the_rows_that_are_null(values, kind, expected):
    found = read(pa.array(values, kind))
    assert found.values.tolist() == expected
    assert found.null_rows.tolist() == [False, True, False]
    assert found.lengths is None and len(found.null_values) == 0


def test_nan_is_null_and_a_column_of_nothing_is_null_in_every_row():
    assert read(pa.array([1.0, float("nan"), None])).null_rows.tolist() == [False, True, True]
    for dtype, kind in (("string", "S"), ("int64", "i")):
        found = read(pa.array([None, None], pa.null()), dtype=dtype)
        assert found.null_rows.all() and found.values.dtype.kind == kind


LISTS = [[3, None], None, [], [5]]


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.large_list(pa.int16())])
def test_lists_are_values_and_lengths_with_nulls_among_both(kind):
    found = read(pa.array(LISTS, kind), (None,), "int64")
    assert found.lengths.tolist() == [2, 0, 0, 1]
    assert found.values[[0, 2]].tolist() == [3, 5]
    assert found.null_values.tolist() == [1]
    assert found.null_rows.tolist() == [False, True, False, False]


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 2)])
def test_vectors_are_rows_and_a_hole_makes_one_null(kind):
    found = read(pa.array([[1.0, 2.0], None, [3.0, None], [4.0, 5.0]], kind), (2,), "float32")
    assert found.values[[0, 3]].tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert found.null_rows.tolist() == [False, True, True, False]
    assert found.lengths is None


def test_a_vector_of_another_length_is_refused_by_its_row():
    with pytest.raises(InputError, match=r"a file, row 8, column 'c' has 1 numbers; accepted: 2"):
        read(pa.array([[1.0, 2.0], [1.0]]), (2,), "float32")


@pytest.mark.parametrize(
    "strings",
    [["a", "ü" * 500, ""], ["end\0", "b"], ["", ""], ["x" * 64, "y"], ["x" * 65, "y"], []],
    ids=["long", "zero", "empty", "64", "65", "none"],
)
def test_strings_of_any_length_come_out_whole(strings):
    """Also those that are a part of a longer column, in which none is null."""
    encoded = [s.encode() for s in strings]
    for array in (
        pa.array(strings, pa.string()),
        pa.array([b"before", *encoded], pa.large_binary())[1:],
    ):
        found = arrow.table(pa.record_batch({"c": array}), {"c": Column("c", "string", "c")}, "", 0)
        assert found.columns["c"].values.tolist() == encoded


def test_a_column_of_no_chunk_has_no_rows():
    empty = pa.table({"c": pa.chunked_array([], pa.int64())})
    assert len(arrow.table(empty, {"c": Column("c", "int64", "c")}, "a file", 0)) == 0


@pytest.mark.parametrize(
    ("array", "shape", "accepted"),
    [
        (pa.array([[1]]), (), "holds list<.*>; accepted: one value a row"),
        (pa.array([1]), (None,), "holds int64; accepted: lists"),
        (
            pa.array([{"a": 1}]),
            (),
            "holds struct<.*>; accepted: integers, numbers, strings, and lists",
        ),
        (pa.array([[[1]]]), (None,), "holds list<.*>; accepted: integers"),
    ],
)
def test_a_type_that_is_none_of_a_log_is_refused(array, shape, accepted):
    with pytest.raises(InputError, match=f"a file, row 7, column 'c' {accepted}"):
        read(array, shape)


def test_a_missing_column_is_named_with_those_that_there_are():
    with pytest.raises(InputError, match="a file has no column 'b', 'c'; it has 'a', 'x'"):
        arrow.check_columns(["a", "x"], dict.fromkeys("abc"), "a file")
    arrow.check_columns(["c", "b", "a", "x", "x"], dict.fromkeys("abc"), "a file")
    with pytest.raises(InputError, match="a file has several columns 'b'; accepted: one"):
        arrow.check_columns(["b", "a", "b"], dict.fromkeys("ab"), "a file")


@pytest.mark.parametrize("part", [None, "parquet"])
def test_without_pyarrow_it_is_said_what_to_install(part, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow" if part is None else f"pyarrow.{part}", None)
    with pytest.raises(InputError, match=r"pip install '\.\[logs\]'"):
        arrow.pyarrow(part)
