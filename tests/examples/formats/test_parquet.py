import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from written_examples import ONE, SCORER, assert_rows

from tfnorm.errors import InputError
from tfnorm.examples.load import load

COLUMNS = {
    "x": pa.array([[0.5, 1], [2, 3.25], [-1, float("nan")]], pa.list_(pa.float32(), 2)),
    "history": pa.array([[3, 1, 2], [7], []], pa.list_(pa.int32())),
    "word": pa.array(["né".encode(), b"\xff", b""], pa.binary()),
    "other": pa.array([1, 2, None]),
}


def _written(path, **columns):
    pq.write_table(pa.table(columns), path, row_group_size=400)
    return path


@pytest.mark.parametrize("name", ["rows.parquet", "rows.pq", "any name"])
def test_rows_are_read_by_suffix_or_by_how_the_file_begins(tmp_path, name):
    loaded = load(_written(tmp_path / name, **COLUMNS), SCORER)
    assert_rows(loaded.rows)
    assert (loaded.given, loaded.requests, loaded.labels) == (3, [], None)


def test_other_types_of_arrow_are_read_as_the_inputs_take_them(tmp_path):
    columns = {
        "x": pa.array([[1, 2], [3, 4], [5, 6]], pa.large_list(pa.int8())),
        "history": pa.array([[3], [1], [2]], pa.list_(pa.uint16())),
        "word": pa.array(["a", "b", "a"]).dictionary_encode(),
        "labels": pa.array([0, 1, 1]),
    }
    loaded = load(_written(tmp_path / "x.parquet", **columns), SCORER)
    np.testing.assert_array_equal(loaded.rows["x"], np.float32([[1, 2], [3, 4], [5, 6]]))
    assert loaded.rows["word"].tolist() == [b"a", b"b", b"a"]
    assert loaded.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("limit", [2, 10, 4096])
def test_of_many_rows_some_evenly_spread_are_kept(tmp_path, limit):
    x = pa.array(np.arange(10_000.0).reshape(-1, 2).tolist())
    loaded = load(_written(tmp_path / "x.parquet", x=x), ONE, limit)
    assert loaded.given == 5_000
    np.testing.assert_array_equal(
        loaded.rows["x"][:, 0] / 2, np.linspace(0, 4_999, limit).astype(int)
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [[1.0, 2.0], None]}, "row 1: 'x' is no tensor: it has a null; accepted: values"),
        ({"x": [[1.0, 2.0], [1.0, None]]}, "row 1: 'x' is no tensor: it has a null"),
        ({"x": [[1.0, 2.0], [1.0]]}, "different lengths, up to 2, but 1 in row 1"),
        ({"x": [{"a": 1}, {"a": 2}]}, "row 0: 'x' is no tensor: an object with 'a'"),
        ({"x": ["a", "b"]}, "'x' has the shape"),
        ({"y": [1.0, 2.0]}, "none of its columns is an input: 'y'; accepted: 'x'"),
        ({"x": pa.array([], pa.list_(pa.float32()))}, "it holds no examples"),
    ],
)
def test_rows_that_are_no_examples_are_refused_by_number(tmp_path, columns, message):
    with pytest.raises(InputError, match=rf"x\.parquet: .*{message}"):
        load(_written(tmp_path / "x.parquet", **columns), ONE)


def test_an_input_without_a_column_is_named(tmp_path):
    path = _written(tmp_path / "x.parquet", **{k: COLUMNS[k] for k in ("x", "word")})
    with pytest.raises(InputError, match=r"x\.parquet lack: 'history'; accepted: x: float32"):
        load(path, SCORER)


@pytest.mark.parametrize("keep", [0, 4, 100, -4])
def test_a_damaged_file_is_told_in_one_line(tmp_path, keep):
    path = _written(tmp_path / "x.parquet", **COLUMNS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"x\.parquet") as error:
        load(path, SCORER)
    assert "\n" not in str(error.value)


def test_a_page_that_is_not_what_its_checksum_says_is_told(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [1.5, 2.5]}), path, write_page_checksum=True, compression="none")
    content = path.read_bytes()
    path.write_bytes(content.replace(np.float64(2.5).tobytes(), np.float64(3.5).tobytes(), 1))
    with pytest.raises(InputError, match=r"x\.parquet can't be read as .*CRC checksum"):
        load(path, SCORER)


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch):
    path = _written(tmp_path / "x.parquet", **COLUMNS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"needs the package pyarrow: pip install '\.\[logs\]'"):
        load(path, SCORER)


def test_a_model_that_does_not_say_what_it_takes_gets_every_column(tmp_path):
    path = _written(tmp_path / "x.parquet", x=[1.0, 2.0], label=["a", "b"])
    scorer = type(
        "Any",
        (),
        {
            "name": "any",
            "inputs": None,
            "constants": {},
            "places": {},
            "signature": None,
            "defaults": {},
        },
    )
    rows = load(path, scorer).rows
    assert rows["x"].tolist() == [1.0, 2.0] and rows["label"].tolist() == [b"a", b"b"]
    assert tf.as_dtype(rows["x"].dtype) == tf.float64
