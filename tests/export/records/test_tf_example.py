import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.records import records
from tfnorm.export.records.tf_example import pad, parser

INPUTS = {
    "x": tf.TensorSpec((None, 2), tf.float32, "x"),
    "id": tf.TensorSpec((None,), tf.int32, "id"),
    "ids": tf.TensorSpec((None, None), tf.int64, "ids"),
    "words": tf.TensorSpec((None, None), tf.string, "words"),
    "pairs": tf.TensorSpec((None, None, 2), tf.float16, "pairs"),
    "flag": tf.TensorSpec((None, 1), tf.bool, "flag"),
}


def example(**features):
    """A record of lists, written by hand."""
    made = tf.train.Example()
    for name, values in features.items():
        feature = made.features.feature[name]
        if values and isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif values and isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return made


def parsed(parse, *examples):
    made = parse(tf.constant([record.SerializeToString() for record in examples]))
    return {name: value.numpy() for name, value in made.items()}


def test_a_row_becomes_a_record_of_the_kind_that_its_dtype_has():
    rows = {
        "x": np.array([[0.5, 1.0], [2.0, 3.0]], ml_dtypes.bfloat16),
        "id": np.array([7, -8], np.int32),
        "flag": np.array([[True], [False]]),
        "text": np.array(["é", "b"]),
        "bytes": np.array([b"\xff", b""], object),
    }
    first, second = records(rows)
    assert first == example(x=[0.5, 1.0], id=[7], flag=[1], text=["é".encode()], bytes=[b"\xff"])
    assert second == example(x=[2.0, 3.0], id=[-8], flag=[0], text=[b"b"], bytes=[b""])


def test_records_hold_features_as_the_dtype_and_shape_of_the_input_say():
    features = parser(INPUTS, None).features
    assert features == {
        "x": tf.io.FixedLenFeature([2], tf.float32),
        "id": tf.io.FixedLenFeature([], tf.int64),
        "ids": tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
        "words": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
        "pairs": tf.io.FixedLenSequenceFeature([2], tf.float32, allow_missing=True),
        "flag": tf.io.FixedLenFeature([1], tf.int64),
    }


def test_what_is_parsed_has_the_dtypes_of_the_inputs_and_sequences_one_length():
    parse = parser(INPUTS, None)
    assert parse.sequences == ["ids", "words", "pairs"]
    got = parsed(
        parse,
        example(x=[0.5, 1.0], id=[7], ids=[1, 2, 3], words=[b"a"], flag=[1]),
        example(x=[2.0, 3.0], id=[8], pairs=[1.0, 2.0, 3.0, 4.0], flag=[0]),
    )
    assert {name: array.dtype for name, array in got.items()} == {
        name: spec.dtype.as_numpy_dtype for name, spec in INPUTS.items()
    }
    assert got["x"].tolist() == [[0.5, 1], [2, 3]]
    assert got["id"].tolist() == [7, 8]
    assert got["flag"].tolist() == [[True], [False]]
    assert got["ids"].tolist() == [[1, 2, 3], [0, 0, 0]]
    assert got["words"].tolist() == [[b"a", b"", b""], [b""] * 3]
    assert got["pairs"].tolist() == [[[0, 0]] * 3, [[1, 2], [3, 4], [0, 0]]]


def test_records_made_of_rows_are_parsed_to_the_same_rows():
    rows = {
        "x": np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32),
        "id": np.array([0, 2**31 - 1, -(2**31), 5], np.int32),
        "ids": np.arange(12).reshape(4, 3),
        "words": np.array([["a", "b", "c"]] * 4).astype("S"),
        "pairs": np.ones((4, 3, 2), np.float16),
        "flag": np.array([[True], [False]] * 2),
    }
    got = parsed(parser(INPUTS, None), *records(rows))
    for name, array in rows.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


def test_a_given_feature_counts_before_the_one_that_would_follow():
    given = {"ids": tf.io.VarLenFeature(tf.int64), "words": tf.io.RaggedFeature(tf.string)}
    parse = parser(INPUTS, given)
    assert {name: parse.features[name] for name in given} == given
    assert parse.features["x"] == tf.io.FixedLenFeature([2], tf.float32)
    got = parsed(
        parse,
        example(x=[0.0, 0.0], id=[0], flag=[0], ids=[1, 2], words=[b"a", b"b", b"c"]),
        example(x=[0.0, 0.0], id=[0], flag=[0], ids=[3]),
    )
    assert got["ids"].tolist() == [[1, 2, 0], [3, 0, 0]]
    assert got["words"].tolist() == [[b"a", b"b", b"c"], [b""] * 3]


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**32 + 3])
def test_an_id_that_the_input_can_not_hold_is_refused_not_wrapped(value):
    parse = parser({"id": INPUTS["id"]}, None)
    with pytest.raises(tf.errors.InvalidArgumentError, match="id has a value that does not fit"):
        parsed(parse, example(id=[value]))


@pytest.mark.parametrize("shape", [(None, 4, None), (None, None, None)])
def test_an_input_with_a_free_axis_away_from_the_batch_is_refused(shape):
    with pytest.raises(InputError, match=r"'x' has the shape .*None\], which a tf.Example can't"):
        parser({"x": tf.TensorSpec(shape, tf.float32, "x")}, None)


def test_a_feature_that_the_model_has_no_input_for_is_refused():
    with pytest.raises(InputError, match="feature_spec has 'y'; the model takes 'x', 'id'"):
        parser(INPUTS, {"y": tf.io.VarLenFeature(tf.int64)})


@pytest.mark.parametrize("feature", [tf.float32, None, tf.io.SparseFeature("i", "v", tf.int64, 3)])
def test_what_is_no_feature_of_a_known_kind_is_refused(feature):
    with pytest.raises(InputError, match=r"feature_spec has a .* for 'x'; accepted: FixedLen"):
        parser(INPUTS, {"x": feature})


def test_padding_follows_the_sequence_and_is_zero_or_empty():
    assert pad(tf.constant([[1, 2], [3, 4]]), 2).numpy().tolist() == [[1, 2, 0, 0], [3, 4, 0, 0]]
    assert pad(tf.constant([["a"]]), 1).numpy().tolist() == [[b"a", b""]]
    assert pad(tf.ones([1, 1, 2]), 1).numpy().tolist() == [[[1, 1], [0, 0]]]
    assert pad(tf.ones([1, 1]), 0).shape == (1, 1)
