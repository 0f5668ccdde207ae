import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.inputs import kept


def spec(dtype, *shape):
    return tf.TensorSpec((None, *shape), dtype, "x")


def fitted(array, wanted):
    return kept.fitted({"x": np.asarray(array)}, {"x": wanted})["x"]


def test_lists_and_arrays_become_arrays_by_the_text_of_their_names():
    made = kept.as_arrays({"x": [[1, 2], [3, 4]], 7: np.array([True, False])})
    assert list(made) == ["x", "7"]
    assert made["x"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({}, "examples are a dict; accepted: a dict of input name -> array"),
        ([1, 2], "examples are a list"),
        ({"x": [1, 2], "y": [1]}, "examples have 2 of 'x', 1 of 'y'; accepted: one or more"),
        ({"x": []}, "examples have 0 of 'x'"),
        ({"x": 1.0}, "examples have 0 of 'x'"),
    ],
)
def test_examples_that_are_none_are_refused(examples, message):
    with pytest.raises(InputError, match=message):
        kept.as_arrays(examples)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (np.float64, tf.float32),
        (np.float32, tf.float16),
        (np.float32, tf.bfloat16),
        (np.int64, tf.int32),
        (np.uint8, tf.int64),
        (np.int16, tf.float32),
        (np.bool_, tf.int32),
        (np.bool_, tf.bool),
    ],
)
def test_examples_take_the_dtype_of_their_input_where_no_value_changes(given, wanted):
    array = np.array([0, 1, 1], given)
    made = fitted(array, spec(wanted))
    assert made.dtype == wanted.as_numpy_dtype
    assert made.tolist() == [0, 1, 1]


def test_floats_may_lose_digits_on_the_way():
    assert fitted([0.1], spec(tf.float32)).tolist() == [np.float32(0.1)]


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.array([2**32 + 1]), tf.int32),
        (np.array([2**24 + 1]), tf.float32),
        (np.array([-1]), tf.uint8),
        (np.array([1.0]), tf.int32),
        (np.array([2]), tf.bool),
        (np.array(["1"]), tf.float32),
        (np.array([1j]), tf.float32),
        (np.array([b"a"], object), tf.int64),
    ],
)
def test_examples_whose_values_would_change_are_refused(array, wanted):
    with pytest.raises(InputError, match=f"'x' have the dtype .*; the model takes {wanted.name}"):
        fitted(array, spec(wanted))


def test_examples_of_another_shape_are_refused():
    assert fitted(np.zeros((2, 5, 3)), spec(tf.float32, None, 3)).shape == (2, 5, 3)
    with pytest.raises(InputError, match=r"the shape \[2, 5\]; the model takes \[None, 3\]"):
        fitted(np.zeros((2, 5)), spec(tf.float32, 3))
    with pytest.raises(InputError, match=r"the shape \[2\]; the model takes \[None, 1\]"):
        fitted(np.zeros(2), spec(tf.float32, 1))


def test_inputs_come_in_their_own_order_and_each_must_be_there():
    inputs = {"a": spec(tf.int32), "b": spec(tf.int32)}
    arrays = {"b": np.array([2]), "a": np.array([1])}
    assert list(kept.fitted(arrays, inputs)) == ["a", "b"]
    with pytest.raises(InputError, match="examples lack: 'a'"):
        kept.fitted({"b": np.array([2])}, inputs)
    with pytest.raises(InputError, match="what is no input: 'c'"):
        kept.fitted(arrays | {"c": np.array([3])}, inputs)


@pytest.mark.parametrize(
    "given",
    [
        np.array([["é", ""], ["b", "long"]]),
        np.array([["é", ""], ["b", "long"]], object),
        np.array([["é".encode(), b""], [b"b", b"long"]]),
        np.array([["é".encode(), ""], ["b", b"long"]], object),
    ],
)
def test_strings_become_bytes_that_need_no_pickling(given):
    made = fitted(given, spec(tf.string, 2))
    assert made.dtype.kind == "S"
    assert made.tolist() == [["é".encode(), b""], [b"b", b"long"]]


def test_strings_that_a_file_can_not_hold_are_refused():
    with pytest.raises(InputError, match="'x' end in zero bytes"):
        fitted(np.array([b"a\0"], object), spec(tf.string))
    with pytest.raises(InputError, match="'x' hold other values than strings"):
        fitted(np.array(["a", 1], object), spec(tf.string))


@pytest.mark.parametrize("name", ["x", "file", "args", "a/b", "größe", "self"])
def test_a_file_holds_inputs_of_any_name_and_numpy_reads_it(tmp_path, name):
    arrays = {name: np.arange(6).reshape(2, 3), "other": np.array([b"a", b"bc"])}
    kept.write(tmp_path / "examples.npz", arrays)
    with np.load(tmp_path / "examples.npz") as read:
        assert {key: read[key].tolist() for key in read} == {
            key: array.tolist() for key, array in arrays.items()
        }


def test_half_precision_of_brains_is_kept_by_its_bits(tmp_path):
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    kept.write(tmp_path / "examples.npz", {"x": array})
    with np.load(tmp_path / "examples.npz") as read:
        assert read["x"].view(ml_dtypes.bfloat16).tolist() == [1.5, -2.0]
