"""What a column of a log is for a model, for a `tf.Example` and where it is empty."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.schema import Column

ID = Column("item", "int32", "item", size=9)
WORDS = Column("tags", "string", "tags", shape=(None,))
VECTOR = Column("v", "float32", "v", shape=(3,))
SECONDS = Column("seconds", "float32", "history", shape=(None,), partner="seen")


@pytest.mark.parametrize(
    ("column", "shape", "dtype"),
    [
        (ID, [None], tf.int32),
        (WORDS, [None, None], tf.string),
        (VECTOR, [None, 3], tf.float32),
        (SECONDS, [None, None], tf.float32),
    ],
)
def test_its_input_has_the_batch_free_and_its_name(column, shape, dtype):
    spec = column.spec
    assert (spec.name, spec.shape.as_list(), spec.dtype) == (column.name, shape, dtype)


@pytest.mark.parametrize(
    ("column", "record"),
    [
        (ID, tf.io.FixedLenFeature((), tf.int64)),
        (WORDS, tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)),
        (VECTOR, tf.io.FixedLenFeature((3,), tf.float32)),
        (SECONDS, tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)),
    ],
)
def test_a_record_holds_integers_as_int64_and_lists_of_any_length(column, record):
    assert column.record == record


@pytest.mark.parametrize(
    ("column", "is_list", "padding", "shape"),
    [
        (ID, False, 0, (2,)),
        (WORDS, True, b"", (2, 4)),
        (VECTOR, False, 0, (2, 3)),
        (SECONDS, True, 0, (2, 4)),
    ],
)
def test_padding_is_0_or_the_empty_string_in_rows_of_its_shape(column, is_list, padding, shape):
    empty = column.empty(2, 4)
    assert (column.is_list, column.padding, empty.shape) == (is_list, padding, shape)
    assert np.all(empty == padding)
    assert empty.dtype.kind == ("S" if column.dtype == "string" else np.dtype(column.dtype).kind)
