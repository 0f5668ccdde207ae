import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.inputs import (
    by_path,
    check_names,
    constant,
    described,
    dimensions,
    flattened,
    is_shape,
    packed,
)

INPUTS = {
    "x": tf.TensorSpec([None, 3], tf.float32),
    "id": tf.TensorSpec([None], tf.int64),
    "any": tf.TensorSpec(None, tf.string),
}
ARRAYS = {name: np.zeros(2) for name in INPUTS}


def test_an_array_for_each_input_is_what_is_wanted():
    check_names(ARRAYS, INPUTS)


def test_inputs_without_an_array_are_named_with_all_that_is_accepted():
    with pytest.raises(InputError) as error:
        check_names({"x": np.zeros(2)}, INPUTS, "file.npz")
    assert str(error.value) == (
        "file.npz lack: 'any', 'id'; "
        "accepted: x: float32 [None, 3], id: int64 [None], any: string of any shape"
    )


def test_arrays_that_are_no_input_are_named():
    with pytest.raises(InputError, match="examples have what is no input: 'label', 'y'; accepted"):
        check_names({**ARRAYS, "y": np.zeros(2), "label": np.zeros(2)}, INPUTS)


STRUCTURE = {"user": {"x": 1}, "item": [2, {"id": 3}], "none": None}
SHAPES = {"user": {"x": (None, 3)}, "item": [(None,), [None, 2]]}


def test_what_is_in_a_structure_goes_by_its_path_and_back():
    leaves = {"user/x": 1, "item/0": 2, "item/1/id": 3}
    assert dict(by_path(STRUCTURE)) == leaves
    assert packed(STRUCTURE, leaves) == STRUCTURE
    shapes = dict(by_path(SHAPES, is_shape))
    assert shapes == {"user/x": (None, 3), "item/0": (None,), "item/1": [None, 2]}
    assert packed(SHAPES, shapes, is_shape) == SHAPES


@pytest.mark.parametrize(
    ("examples", "names"),
    [
        ({"user": {"age": 0}, "x": 1}, {"user_age", "x"}),
        ({"user": {"items": [1, 2]}}, {"user/items"}),
        ({"pair": [1, 2]}, {"first", "second"}),
        ({"pair/0": 1, "pair": {"1": 2}}, {"first", "second"}),
        ({"a": {"b": {"age": 1}}}, {"a.b.age"}),
        ({"deep": {"x": 1}}, {"x"}),
        ({"x": {"what": 1}}, {"x"}),
        ({"no": {"where": 1}}, {"no/where"}),
    ],
)
def test_nested_examples_are_named_by_their_places_or_paths(examples, names):
    places = {"pair/0": "first", "pair/1": "second"}
    inputs = ["user_age", "a.b.age", "x", "first", "second"]
    assert flattened(examples, places, inputs).keys() == names


def test_an_input_that_is_given_twice_is_refused():
    with pytest.raises(InputError, match="line 3 have input 'x' twice; accepted: each once"):
        flattened({"user": {"x": 1}, "item": {"x": 2}}, {}, ["x"], "line 3")


def test_shapes_read_as_lists():
    assert dimensions(INPUTS["x"]) == "[None, 3]"
    assert dimensions(INPUTS["any"]) == "of any shape"
    assert described({"id": INPUTS["id"]}) == "id: int64 [None]"


FED = {
    "rate": tf.TensorSpec([], tf.float32),
    "half": tf.TensorSpec([], tf.bfloat16),
    "training": tf.TensorSpec(None, tf.bool),
    "k": tf.TensorSpec([], tf.uint8),
    "where": tf.TensorSpec([], tf.string),
    "weights": tf.TensorSpec([2], tf.float32),
    "tags": tf.TensorSpec([None], tf.string),
}


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("rate", ["0.5", 0.5, np.float64(0.5)], np.float32(0.5)),
        ("rate", ["1", 1], np.float32(1)),
        ("training", ["False", "false", False, "0"], np.bool_(False)),
        ("k", ["7", 7, "7.0"], np.uint8(7)),
        ("where", ["7", b"7", '"7"'], np.array(b"7", object)),
        ("where", ['"7" or [8]'], np.array(b'"7" or [8]', object)),
        ("weights", ["[1, 2.5]", [1, 2.5]], np.float32([1, 2.5])),
        ("tags", ['["a", "b"]', ["a", b"b"]], np.array([b"a", b"b"], object)),
    ],
)
def test_a_constant_is_what_its_input_takes(name, values, expected):
    for value in values:
        array = constant(name, value, FED)
        np.testing.assert_array_equal(array, expected, strict=True)


def test_a_constant_of_16_bits_is_rounded_to_them():
    assert constant("half", "0.1", FED).dtype == tf.bfloat16.as_numpy_dtype


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", "much"),
        ("rate", "true"),
        ("rate", "[0.5]"),
        ("half", 1e39),
        ("training", "2"),
        ("training", "no"),
        ("k", "1.5"),
        ("k", 300),
        ("k", -1),
        ("weights", "[1, 2, 3]"),
        ("weights", "[1, [2]]"),
        ("where", 7),
    ],
)
def test_a_constant_that_its_input_does_not_take_is_refused(name, value):
    with pytest.raises(InputError, match=rf"feed gives '{name}' the value .*; accepted: .*"):
        constant(name, value, FED)


def test_a_constant_for_what_is_no_input_is_refused():
    with pytest.raises(InputError, match="feed gives 'rates', which is no input; accepted: rate"):
        constant("rates", 1, FED)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.5", np.float32(0.5)),
        ([0.5, 1], np.float32([0.5, 1])),
        ("3", np.int64(3)),
        ("True", np.bool_(True)),
        ("a", np.bytes_(b"a")),
        (np.float64(0.5), np.float64(0.5)),
    ],
)
def test_a_constant_of_a_model_that_does_not_say_what_it_takes_is_guessed(value, expected):
    np.testing.assert_array_equal(constant("any", value, None), expected, strict=True)
