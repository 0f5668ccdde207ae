"""What the columns of a log's files look like, by every format and type."""

import datetime
import decimal
import json

import click_rows as clicks
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf

from tfnorm import datasets
from tfnorm.datasets import profile
from tfnorm.datasets.profile import Profile, profiles
from tfnorm.errors import InputError


def added(*arrays):
    """The profile of a column whose parts these are."""
    found = None
    for array in map(pa.array, arrays):
        found = found or Profile("c", *profile._type(array.type))
        found.add(array)
    return found


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([3, None, 1, 3], pa.uint64()), "integer"),
        (pa.array([True, False, None, True]), "float"),
        (pa.array([1.5, float("nan"), None, 1]), "float"),
        (pa.array([1, 0, None, 0]).cast(pa.decimal128(25, 2)), "float"),
        (pa.array([1, 0, None, 0]).cast(pa.decimal128(38, 0)), "integer"),
        (pa.array([np.float16(1), None, None, np.float16(0)], pa.float16()), "float"),
        (pa.array([30, 40, None, 30]).dictionary_encode(), "integer"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_numbers_have_a_range_and_so_many_values(array, kind):
    found = added(array)
    values = [float(v) for v in array.to_pylist() if v is not None and v == v]
    assert (found.kind, found.is_list, found.rows) == (kind, False, 4)
    assert (found.least, found.greatest) == (min(values), max(values))
    assert set(values) <= {float(v) for v in found.distinct}


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.binary(1),
        pa.dictionary(pa.int8(), pa.string()),
    ],
    ids=str,
)
def test_strings_are_strings_of_whatever_type(kind):
    found = added(pa.array(["a", None, "b", "a"]).cast(pa.binary()).cast(kind)
                  if not pa.types.is_dictionary(kind) else pa.array(["a", None, "b", "a"], kind))  # fmt: skip
    assert (found.kind, found.rows, found.distinct) == ("string", 4, {"a", "b"})


def test_times_are_times():
    day = datetime.datetime(2020, 1, 1)
    for values in ([day, None], [day.date(), None]):
        assert added(values).kind == "time"
    assert added([day.time(), None]).kind == "other"


def test_lists_have_the_kind_of_their_values_and_a_range_of_lengths():
    for kind in (pa.list_(pa.int64()), pa.large_list(pa.int16())):
        found = added(pa.array([[5, 7], None, [5]], kind), pa.array([[1, 2, 3]], kind))
        assert (found.kind, found.is_list, found.rows) == ("integer", True, 4)
        assert (found.shortest, found.longest) == (1, 3)
        assert (found.least, found.greatest, found.distinct) == (1, 7, {1, 2, 3, 5, 7})
    vectors = added(pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2)))
    assert (vectors.kind, vectors.shortest, vectors.longest) == ("float", 2, 2)


def test_lists_that_go_together_have_one_digest_whatever_their_types():
    items = added(pa.array([[5, 7], [], [5]], pa.list_(pa.int64())))
    names = added(pa.array([["a", "b"], None, ["c"]], pa.large_list(pa.string())))
    others = added(pa.array([[5], [7], [5]]))
    assert items.lengths == names.lengths != others.lengths


@pytest.mark.parametrize(
    ("first", "second", "kind", "distinct"),
    [
        ([1, 2], [2.5], "float", {1, 2, 2.5}),
        ([2.5], [1, 2], "float", {1, 2, 2.5}),
        ([1, 2], ["a"], "string", {"1", "2", "a"}),
        (["a"], [1, 2], "string", {"1", "2", "a"}),
        ([[1], []], [2], "integer", {1, 2}),
        ([2], [[1], []], "integer", {1, 2}),
        (pa.array([None], pa.float64()), ["a"], "string", {"a"}),
        (["a"], pa.array([None], pa.float64()), "string", {"a"}),
    ],
)
def test_parts_of_other_types_widen_a_column(first, second, kind, distinct):
    found = added(first, second)
    assert (found.kind, found.distinct) == (kind, distinct)
    assert found.is_list == any(isinstance(v, list) for v in [*first, *second])
    assert found.rows == len(first) + len(second)


def test_a_value_among_lists_is_a_list_of_one():
    mixed, lists = added([[5, 7], []], [3, None]), added([[1, 2], []], [[1], []])
    assert (mixed.lengths, mixed.shortest, mixed.longest) == (lists.lengths, 0, 2)


def test_times_among_others_are_refused():
    with pytest.raises(
        InputError, match="column 'c' holds values of the kind time and then of the k"
    ):
        added([datetime.datetime(2020, 1, 1)], [3])
    with pytest.raises(InputError, match="of the kind integer and then of the kind time"):
        added([3], [datetime.datetime(2020, 1, 1)])


def test_of_many_values_only_so_many_are_kept(monkeypatch):
    monkeypatch.setattr(profile, "_SAMPLED", 5)
    found = added(range(4), range(4, 8), range(8, 12))
    assert len(found.distinct) == 8 and found.greatest == 11


ROWS = [{"n": 1, "x": 0.5, "s": "a", "l": [3, 4]}, {"n": 2, "x": 1.5, "s": "b", "l": [5]}]
KINDS = {"n": "integer", "x": "float", "s": "string", "l": "integer"}


def write_csv(path, rows):
    path.write_text("n,x,s\n" + "".join(f"{r['n']},{r['x']},{r['s']}\n" for r in rows))


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        ("parquet", clicks.write_parquet),
        ("jsonl", clicks.write_jsonl),
        ("tfrecord", clicks.write_tfrecord),
        ("csv", write_csv),
    ],
)
def test_every_format_is_looked_at_in_the_order_of_its_columns(suffix, write, tmp_path):
    for n in range(2):
        write(tmp_path / f"{n}.{suffix}", ROWS)
    found = {p.name: p for p in profiles(tmp_path)}
    kinds = {name: kind for name, kind in KINDS.items() if suffix != "csv" or name != "l"}
    assert {name: p.kind for name, p in found.items()} == kinds
    assert {p.rows for p in found.values()} == {4}
    assert {name for name, p in found.items() if p.is_list} == (
        {"l"} - ({"l"} if suffix == "csv" else set())
    )
    assert found["s"].distinct == {"a", "b"} and found["x"].greatest == 1.5


def test_a_column_of_a_type_that_is_none_of_a_log_is_other_and_one_of_nulls_has_no_values(tmp_path):
    pa.parquet.write_table(
        pa.table({"a": [{"x": 1}], "b": pa.nulls(1), "c": [1]}), tmp_path / "l.pq"
    )
    assert [(p.kind, len(p.distinct)) for p in profiles(tmp_path)] == [
        ("other", 1),
        ("integer", 0),
        ("integer", 1),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"no"),
        ("a.jsonl", b'{"n": 1\n{'),
        ("a.jsonl", b'{"n": 1}\n{"n": [1]}\n'),
        ("a.csv", b"a,b\n1\n"),
        ("a.tfrecord", b"no" * 50),
    ],
)
def test_a_file_that_can_not_be_read_is_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}(: record 0 is damaged| can't be read)"):
        profiles(tmp_path)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table([[1], [2]], names=["a", "a"]), "has several columns 'a'; accepted: one"),
        (pa.table({"a": [decimal.Decimal(10) ** 30]}), "column 'a' can't be read: Integer value"),
    ],
)
def test_columns_that_can_not_be_told_apart_or_hold_too_large_integers_are_refused(
    table, reason, tmp_path
):
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=rf"a\.parquet,? {reason}"):
        profiles(tmp_path)


def test_a_record_that_is_no_example_is_named(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(b"\xff\xff")
    with pytest.raises(InputError, match=r"a\.tfrecord has a record that is no tf\.Example"):
        profiles(tmp_path)


def test_a_log_whose_files_differ_in_their_types_is_drafted(tmp_path):
    """Ids that are numbers in one file and words in the next are hashed."""
    for n, item in enumerate((7, "x7")):
        rows = [{"item": item, "price": 2 + n / 2, "click": k % 2} for k in range(4)]
        (tmp_path / f"{n}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    schema = datasets.draft(tmp_path)
    assert schema["item"].dtype == "string" and schema["price"].scale is not None
