import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.table import stacked

INPUTS = {
    "history": tf.TensorSpec([None, None, 2], tf.int64),
    "word": tf.TensorSpec([None, None], tf.string),
    "x": tf.TensorSpec([None, 3], tf.float32),
    "any": tf.TensorSpec(None, tf.float32),
}


def _rows(name, *values, dtype=None):
    return [{name: np.array(value, dtype)} for value in values]


def test_rows_of_a_free_length_are_padded_with_zeros_at_the_end():
    rows = _rows("history", [[1, 2], [3, 4], [5, 6]], [[7, 8]])
    expected = [[[1, 2], [3, 4], [5, 6]], [[7, 8], [0, 0], [0, 0]]]
    assert stacked(rows, INPUTS)["history"].tolist() == expected


def test_text_is_padded_with_nothing():
    rows = _rows("word", [b"a", b"b"], [b"c"], [], dtype=object)
    assert stacked(rows, INPUTS)["word"].tolist() == [[b"a", b"b"], [b"c", b""], [b"", b""]]


def test_numbers_that_are_one_each_become_a_column():
    column = stacked(_rows("x", 1.5, 2), None)["x"]
    assert column.tolist() == [1.5, 2.0]
    assert column.dtype == np.float64


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x", ([1, 2, 3], [1, 2])),
        ("unknown", ([1, 2, 3], [1, 2])),
        ("any", ([1, 2], [1, 2, 3])),
        ("history", ([[1, 2]], [[1, 2, 3]])),
    ],
)
def test_where_no_length_is_free_rows_must_be_equally_long(name, values):
    with pytest.raises(InputError, match=f"'{name}' has values of different lengths, up to 3"):
        stacked(_rows(name, *values), INPUTS)


def test_rows_of_other_ranks_are_refused():
    with pytest.raises(InputError, match="'x' has values of 0 and 1 axes"):
        stacked(_rows("x", [1, 2, 3], 1), INPUTS)


def test_every_row_must_have_every_name():
    rows = [{"x": np.array(1), "y": np.array(2)}, {"x": np.array(1)}]
    with pytest.raises(InputError, match="example 1 lacks 'y'"):
        stacked(rows, None)


def test_no_rows_are_no_examples():
    with pytest.raises(InputError, match="holds no examples"):
        stacked([], INPUTS)
