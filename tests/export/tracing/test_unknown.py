"""Which rows are asked for ids that a table lacks, and their outputs."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.tracing.unknown import UnknownRows, spoilt, with_bad_id

IDS = np.array([[1, 2], [9, 3], [4, 9], [5, 6]])


def rows_of(unknown_of, ids=IDS):
    """What is taken of a look-up, in a graph of its own."""
    unknown = UnknownRows()

    def call(x):
        unknown.begin()
        unknown.add("items", unknown_of(x))
        (taken,) = unknown.take({"ids": x}, tf.shape(x)[0])
        assert not unknown.lookups
        return taken

    spec = tf.TensorSpec([None, 2], tf.int64)
    return tf.function(call, input_signature=[spec], autograph=False)(ids).numpy().tolist()


@pytest.mark.parametrize(
    "unknown_of",
    [
        lambda x: x > 8,
        lambda x: tf.reshape(x, [-1]) > 8,
        lambda x: tf.reduce_max(x, axis=1) > 8,
        lambda x: x[:, None, :, None] > 8,
    ],
)
def test_ids_are_those_of_the_rows_that_they_come_from(unknown_of):
    assert rows_of(unknown_of) == [False, True, True, False]
    assert rows_of(unknown_of, np.zeros([0, 2], int)) == []


def test_ids_of_no_input_are_those_of_all_rows():
    assert rows_of(lambda x: tf.range(tf.shape(x)[1]) > 8) == [False] * 4
    assert rows_of(lambda x: tf.range(tf.shape(x)[1] + 9) > 8) == [True] * 4


@pytest.mark.parametrize(
    ("unknown_of", "message"),
    [
        (lambda x: tf.boolean_mask(x, x > 0) > 8, "'items' looks up ids behind Where"),
        (lambda x: tf.unique(tf.reshape(x, [-1])).y > 8, "'items' looks up ids behind Unique"),
    ],
)
def test_ids_that_values_choose_are_of_no_row(unknown_of, message):
    with pytest.raises(InputError, match=message):
        rows_of(unknown_of)


def test_ids_inside_a_function_of_its_own_are_of_no_row():
    def inside(x):
        inner = []
        tf.function(lambda y: inner.append(y > 8), autograph=False).get_concrete_function(x)
        return inner[0]

    with pytest.raises(InputError, match="'items' looks up ids inside a loop"):
        rows_of(inside)


def test_outputs_are_nan_in_rows_that_any_look_up_has_an_unknown_id_for():
    def call(x):
        outputs = {
            "flat": tf.reduce_sum(x, axis=1),
            "deep": x[:, :, None],
            "half": tf.cast(x, tf.float16),
        }
        return spoilt(outputs, [x[:, 0] > 8, x[:, 1] > 8])

    found = tf.function(call, input_signature=[tf.TensorSpec([None, 2])], autograph=False)(IDS)
    for name, output in found.items():
        kept = np.array([True, False, False, True])
        assert np.isnan(output.numpy()[~kept]).all(), name
        assert np.isfinite(output.numpy()[kept]).all(), name
    assert spoilt({"x": tf.constant([1])}, []).keys() == {"x"}


def test_a_bad_id_takes_the_place_of_all_that_a_row_has():
    rows = {"ids": IDS, "x": np.ones(4)}
    changed = with_bad_id(rows, "ids", 1, 7)
    assert changed["ids"].tolist() == [[1, 2], [7, 7], [4, 9], [5, 6]]
    assert changed["x"] is rows["x"] and IDS[1].tolist() == [9, 3]
