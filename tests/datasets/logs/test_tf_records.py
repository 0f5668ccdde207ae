"""Logs in TFRecord files."""

import gzip

import click_rows as clicks
import pytest
import tensorflow as tf
from click_rows import COUNT, assert_same, whole

from tfnorm.datasets.logs import tf_records
from tfnorm.datasets.logs.tf_records import tfrecord
from tfnorm.errors import InputError

SCHEMA = clicks.Schema(
    [
        clicks.Id("item", size=99),
        clicks.Id("word", size=9, hashed=True),
        clicks.Number("x"),
        clicks.Number("v", length=2),
        clicks.Id("tags", size=9, hashed=True, many=True),
    ],
    target=["item"],
    label="y",
)


def row(**changed):
    return {"item": 3, "word": "w", "x": 1.5, "v": [1.0, 2.0], "tags": ["a"], "y": 1.0, **changed}


def read(path, *rows, **options):
    clicks.write_tfrecord(path, rows)
    return whole(tfrecord(path, SCHEMA, **options)).features


@pytest.mark.parametrize("name", ["log.tfrecords.gz", "log.tfrecord"])
def test_records_may_be_packed_whatever_the_file_is_called(name, tmp_path, expected):
    clicks.write_tfrecord(tmp_path / "plain", clicks.rows(COUNT))
    packed = gzip.compress((tmp_path / "plain").read_bytes())
    (tmp_path / name).write_bytes(packed)
    assert_same(whole(tfrecord(tmp_path, clicks.SCHEMA)).features, expected)


def test_a_feature_that_is_left_out_or_empty_is_null_and_a_list_is_empty(tmp_path):
    found = read(tmp_path / "a", row(), row(item=None, tags=[], word=None, v=None), nulls="missing")
    assert found["item"].tolist() == [3, 0]
    assert found["word"].tolist() == [b"w", b""]
    assert found["v"].tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert found["tags"].tolist() == [[b"a"], [b""]]
    for lacking in ("item", "word", "x", "v"):
        with pytest.raises(InputError, match=f"a, row 1, column '{lacking}' is null"):
            read(tmp_path / "a", row(), row(**{lacking: None}))


def test_integers_are_taken_where_strings_or_numbers_belong(tmp_path):
    found = read(tmp_path / "a", row(word=7, x=2, y=0), row(word=-8, x=3, y=1))
    assert found["word"].tolist() == [b"7", b"-8"]
    assert found["x"].tolist() == [2.0, 3.0]


def test_nan_is_null_in_a_number_a_vector_and_a_list(tmp_path):
    nan = float("nan")
    for changed in ({"x": nan}, {"v": [1.0, nan]}):
        (name,) = changed
        with pytest.raises(InputError, match=f"row 1, column '{name}' is null"):
            read(tmp_path / "a", row(), row(**changed))
        found = read(tmp_path / "a", row(), row(**changed), row(x=9.0), nulls="drop")
        assert found["x"].tolist() == [1.5, 9.0]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"item": [3, 4]}, "column 'item' has 2 values; accepted: 1"),
        ({"v": [1.0]}, "column 'v' has 1 values; accepted: 2"),
        ({"item": "drei größer"}, "can't be read: .*item"),
    ],
)
def test_what_is_no_row_is_named_by_its_number_over_the_parts(
    changed, reason, tmp_path, monkeypatch
):
    monkeypatch.setattr(tf_records, "_ROWS", 2)
    with pytest.raises(InputError, match=f"a,? row 3,? {reason}") as caught:
        read(tmp_path / "a", *[row()] * 3, row(**changed), row())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("content", [b"\xff\xff", b"no example"])
def test_a_record_that_is_no_example_is_named(before, content, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        for record in (*[clicks.record(row())] * before, content):
            writer.write(record)
    with pytest.raises(InputError, match=f"a, row {before} is no tf.Example"):
        whole(tfrecord(tmp_path / "a", SCHEMA))


def test_a_damaged_record_is_named_and_what_comes_before_it_is_read(tmp_path):
    path = tmp_path / "a"
    clicks.write_tfrecord(path, [row()] * 3)
    content = path.read_bytes()
    for record, damaged in ((2, content[:-5]), (0, content[:20] + b"x" + content[21:])):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"a: record {record} is damaged: "):
            whole(tfrecord(path, SCHEMA))


def test_a_file_that_is_gone_is_named(tmp_path):
    clicks.write_tfrecord(tmp_path / "a", [row()])
    log = tfrecord(tmp_path / "a", SCHEMA)
    (tmp_path / "a").unlink()
    with pytest.raises(InputError, match=r"a can't be read: No such file"):
        whole(log)
