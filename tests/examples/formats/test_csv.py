import gzip

import numpy as np
import pytest
import tensorflow as tf
from written_examples import ONE, SCORER, write_lines

from tfnorm.errors import InputError
from tfnorm.examples.load import load

LINES = ["other,x,word,history", "1,0.5|1,né,3|1|2", "", '2,2|3.25,"a, b",7', "3,-1|nan,,"]


def scorer(**dtypes):
    inputs = {name: tf.TensorSpec([None], dtype, name) for name, dtype in dtypes.items()}
    return type(
        "Any",
        (),
        {
            "name": "any",
            "inputs": inputs,
            "constants": {},
            "places": {},
            "signature": None,
            "defaults": {},
        },
    )


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_lists_are_separated_and_columns_that_are_no_inputs_left_out(tmp_path, name):
    write_lines(tmp_path / "x.csv", *LINES)
    if name.endswith("gz"):
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes()))
    loaded = load(tmp_path / name, SCORER)
    expected = np.float32([[0.5, 1], [2, 3.25], [-1, np.nan]])
    np.testing.assert_array_equal(loaded.rows["x"], expected, strict=True)
    np.testing.assert_array_equal(loaded.rows["history"], [[3, 1, 2], [7, 0, 0], [0, 0, 0]])
    assert loaded.rows["word"].tolist() == ["né".encode(), b"a, b", b""]
    assert loaded.given == 3


def test_single_values_are_read_as_the_inputs_take_them(tmp_path):
    path = write_lines(tmp_path / "x.csv", "\ufefff,i,b,labels", "1,-2,true,0", "1e3,3,0,1")
    loaded = load(path, scorer(f=tf.float32, i=tf.int32, b=tf.bool))
    assert {name: (a.dtype.name, a.tolist()) for name, a in loaded.rows.items()} == {
        "f": ("float32", [1, 1000]),
        "i": ("int32", [-2, 3]),
        "b": ("bool", [True, False]),
    }
    assert loaded.labels.tolist() == [0, 1]


def test_without_inputs_the_cells_say_what_they_are(tmp_path):
    path = write_lines(tmp_path / "x.csv", "f,i,s", "1,1,1", "2.5,2,b")
    unknown = type(
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
    rows = load(path, unknown).rows
    assert (rows["f"].tolist(), rows["i"].tolist()) == ([1.0, 2.5], [1, 2])
    assert rows["i"].dtype == np.int64
    assert rows["s"].tolist() == [b"1", b"b"]


def test_of_many_rows_some_evenly_spread_are_kept(tmp_path):
    path = write_lines(tmp_path / "x.csv", "x", *(f"{i}|{i}" for i in range(1000)))
    loaded = load(path, ONE, 10)
    assert (len(loaded.rows["x"]), loaded.given) == (10, 1000)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["x", "1|2", "1|a"], r"line 3: 'x' has 'a'; accepted: a number"),
        (["x", "1|2", "1|"], r"line 3: 'x' has ''; accepted: a number"),
        (["x", "1|2", "1"], r"'x' has values of different lengths, up to 2, but 1 in line 3"),
        (["x,y", "1|2,3", "1|2"], "line 3 has 1 cells; accepted: 2"),
        (["y", "1", "2"], "none of its columns is an input: 'y'; accepted: 'x'"),
        (["x"], "it holds no examples"),
        ([], "none of its columns"),
    ],
)
def test_what_is_no_example_is_refused_by_line(tmp_path, lines, message):
    with pytest.raises(InputError, match=rf"x\.csv: .*{message}") as raised:
        load(write_lines(tmp_path / "x.csv", *lines), ONE)
    assert "\n" not in str(raised.value)


def test_a_cell_holds_no_more_than_a_list(tmp_path):
    inputs = {"x": tf.TensorSpec([None, 2, 2], tf.float32, "x")}
    deep = type(
        "Any",
        (),
        {
            "name": "any",
            "inputs": inputs,
            "constants": {},
            "places": {},
            "signature": None,
            "defaults": {},
        },
    )
    with pytest.raises(InputError, match="'x' takes 2 axes an example; a cell of CSV has one"):
        load(write_lines(tmp_path / "x.csv", "x", "1|2"), deep)


@pytest.mark.parametrize("content", [b"x\n\xff\n", b'x\n"1|2\n' + b"9" * 200_000, b"\x1f\x8b"])
def test_a_damaged_file_is_told_in_one_line(tmp_path, content):
    name = "x.csv.gz" if content[:1] == b"\x1f" else "x.csv"
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"x\.csv") as raised:
        load(tmp_path / name, ONE)
    assert "\n" not in str(raised.value)
