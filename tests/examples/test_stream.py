"""A stream has all examples of a file, as `load` has them, and holds some at a time."""

from __future__ import annotations

import json
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from written_examples import (
    EXAMPLES,
    LOGGED,
    ONE,
    ROWS,
    SCORER,
    example,
    predict,
    write_lines,
    write_records,
)

import tfnorm
from tfnorm.errors import InputError
from tfnorm.examples.load import load
from tfnorm.examples.stream import Stream


def npz(path):
    np.savez(
        path,
        x=np.float32([[0.5, 1], [2, 3.25], [-1, np.nan]]),
        history=np.asfortranarray([[3, 1, 2], [7, 0, 0], [0, 0, 0]]),
        word=np.array(["né".encode(), b"\xff", b""], "S3"),
        other=[1, 2, 3],
    )


def parquet(path):
    columns = {
        "x": pa.array([[0.5, 1], [2, 3.25], [-1, float("nan")]]),
        "history": pa.array([[3, 1, 2], [7], []], pa.list_(pa.int32())),
        "word": pa.array(["né".encode(), b"\xff", b""]),
        "other": pa.array([1, None, 2]),
    }
    pq.write_table(pa.table(columns), path)


WRITERS = {
    "x.npz": npz,
    "x.jsonl": lambda p: write_lines(p, *(json.dumps(row | {"other": 1}) for row in ROWS)),
    "request.json": lambda p: write_lines(p, json.dumps({"instances": ROWS}, indent=2)),
    "x.csv": lambda p: write_lines(p, "x,history,word", "0.5|1,3|1|2,né", "2|3.25,7,b", "-1|nan,,"),
    "x.parquet": parquet,
    "x.tfrecord": lambda p: write_records(p, EXAMPLES),
    "packed": lambda p: write_records(p, EXAMPLES, "GZIP"),
    "log": lambda p: write_records(p, map(predict, LOGGED)),
}


@pytest.mark.parametrize("size", [1, 2, 1024])
@pytest.mark.parametrize("name", WRITERS)
def test_the_parts_make_up_the_whole_in_each_pass(tmp_path, monkeypatch, name, size):
    monkeypatch.setattr("tfnorm.examples.stream.ROWS", size)
    WRITERS[name](tmp_path / name)
    if size == 1:
        # One at a time would be taken for one in all.
        monkeypatch.setattr("tfnorm.examples.stream.check_count", lambda *_: None)
    stream = Stream(tmp_path / name, SCORER)
    for _ in range(2):
        parts = list(stream)
        assert [len(part["x"]) for part in parts] == {1: [1] * 3, 2: [2, 1], 1024: [3]}[size]
        x = np.concatenate([part["x"] for part in parts])
        np.testing.assert_array_equal(
            x, np.float32([[0.5, 1], [2, 3.25], [-1, np.nan]]), strict=True
        )
        histories = [row[row > 0].tolist() for part in parts for row in part["history"]]
        assert histories == [[3, 1, 2], [7], []]
        assert {part["history"].dtype for part in parts} == {np.dtype(np.int64)}
        words = [word for part in parts for word in part["word"].tolist()]
        assert words == ["né".encode(), b"b" if name == "x.csv" else b"\xff", b""]
        assert all(part.keys() == {"x", "history", "word"} for part in parts)


PLAIN = {
    "lists of one length": pa.array([[1, 2], [3, 4]], pa.list_(pa.int8())),
    "lists of a fixed length": pa.array([[1.5, 2], [3, 4]], pa.list_(pa.float64(), 2)),
    "large lists": pa.array([[1.5, 2], [3, 4]], pa.large_list(pa.float32())),
    "a part of a larger one": pa.array([[9, 9], [1, 2], [3, 4]], pa.list_(pa.float32()))[1:],
    "half precision": pa.array([np.float16([1, 2]), np.float16([3, 4])], pa.list_(pa.float16())),
}


@pytest.mark.parametrize("column", PLAIN.values(), ids=PLAIN.keys())
def test_numbers_in_parquet_are_what_they_are_row_by_row(tmp_path, column):
    pq.write_table(pa.table({"x": column}), tmp_path / "x.parquet")
    (part,) = Stream(tmp_path / "x.parquet", ONE)
    expected = load(tmp_path / "x.parquet", ONE).rows["x"]
    np.testing.assert_array_equal(part["x"], expected, strict=True)


def test_single_values_in_parquet_are_what_they_are_row_by_row(tmp_path):
    dtypes = {"b": tf.bool, "i": tf.int32, "f": tf.float32, "w": tf.float32}
    inputs = {name: tf.TensorSpec([None], dtype, name) for name, dtype in dtypes.items()}
    scorer = SimpleNamespace(
        name="any", inputs=inputs, constants={}, places={}, signature=None, defaults={}
    )
    columns = {"b": [True, False], "i": [1, -2], "f": [0.5, 2.5], "w": [1, 2], "labels": [0, 1]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    (part,) = Stream(tmp_path / "x.parquet", scorer)
    rows = load(tmp_path / "x.parquet", scorer).rows
    assert part.keys() == rows.keys()
    for name, array in part.items():
        np.testing.assert_array_equal(array, rows[name], strict=True)


ITEMS, SEEN, CLICKS = [0, 12, -3], [[0, 7], [5], [3]], [0, 1, 1]
WHOLE = [{"item": i, "seen": s, "labels": c} for i, s, c in zip(ITEMS, SEEN, CLICKS, strict=True)]
WHOLE_NUMBERS = {
    "x.parquet": lambda p: pq.write_table(pa.Table.from_pylist(WHOLE), p),
    "x.csv": lambda p: write_lines(p, "item,seen,labels", "0,0|7,0", "12,5,1", "-3,3,1"),
    "x.jsonl": lambda p: write_lines(p, *map(json.dumps, WHOLE)),
    "x.tfrecord": lambda p: write_records(
        p, [example(item=[row["item"]], seen=row["seen"], labels=[row["labels"]]) for row in WHOLE]
    ),
}


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
def test_whole_numbers_are_strings_where_training_reads_them_so(tmp_path, name):
    """The id 0 is one, unlike the empty string, which is padding."""
    WHOLE_NUMBERS[name](tmp_path / name)
    features = [
        tfnorm.schema.Id("item", size=10, hashed=True),
        tfnorm.schema.History("history", of={"item": "seen"}, length=2),
    ]
    schema = tfnorm.Schema(features, target=["item"], label="labels")
    scorer = SimpleNamespace(
        name="any", inputs=schema.inputs, constants={}, places={}, signature=None, defaults={}
    )
    (part,) = Stream(tmp_path / name, scorer)
    trained = tfnorm.datasets.read(tmp_path / name, schema).examples(3)
    assert part["seen"].tolist() == [[b"0", b"7"], [b"5", b""], [b"3", b""]]
    for rows in (part, load(tmp_path / name, scorer).rows):
        assert rows.keys() == {"item", "seen"}
        for name, values in rows.items():
            np.testing.assert_array_equal(values, trained.features[name])


def large(path, rows):
    """A file of rows that take 4,000 bytes in memory each."""
    x = np.random.default_rng(0).normal(size=(rows, 1000)).astype(np.float32)
    if path.suffix == ".npz":
        np.savez(path, x=x)
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"x": pa.FixedSizeListArray.from_arrays(x.ravel(), 1000)}), path)
    elif path.suffix == ".csv":
        write_lines(path, "x", *("|".join(map(str, row)) for row in x.round(2)))
    elif path.suffix == ".jsonl":
        write_lines(path, *(json.dumps({"x": row}) for row in x.round(2).tolist()))
    else:
        write_records(path, [example(x=row) for row in x.tolist()])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv", ".jsonl", ".tfrecord"])
def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch, suffix):
    """What Python and NumPy hold at most, of a file and of one five times as large."""
    monkeypatch.setattr("tfnorm.examples.stream.ROWS", 20)
    inputs = {"x": tf.TensorSpec([None, 1000], tf.float32, "x")}
    scorer = SimpleNamespace(
        name="any", inputs=inputs, constants={}, places={}, signature=None, defaults={}
    )
    peaks = []
    for rows in (60, 300):
        large(tmp_path / f"{rows}{suffix}", rows)
        stream = Stream(tmp_path / f"{rows}{suffix}", scorer)
        assert sum(len(part["x"]) for part in stream) == rows
        tracemalloc.start()
        for _ in stream:
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 50_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", '{"x": [1, 2]}', "1 examples; accepted: 2 or more"),
        ("x.jsonl", '{"y": 1}\n{"y": 2}', "lack: 'x'; accepted: x: float32"),
        ("x.jsonl", '{"x": [1, 2]}\n{"x": 1}', "has values of 0 and 1 axes, as in line 1 and in"),
        ("x.csv", "x\n", "it holds no examples"),
        ("x.tfrecord", "", "it holds no examples"),
        ("x.npz", "PK", "can't be read as"),
        ("nowhere.npz", None, "does not exist; give an .npz file"),
    ],
)
def test_what_can_not_be_used_is_told_in_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        list(Stream(tmp_path / name, ONE))
    assert name in str(raised.value) and "\n" not in str(raised.value)


def test_arrays_of_different_numbers_of_rows_are_told_by_their_whole_numbers(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((5000, 2)), other=np.zeros(4000))
    with pytest.raises(InputError, match="different numbers of examples: 'x' 5000, 'other' 4000"):
        list(Stream(tmp_path / "x.npz", ONE))
