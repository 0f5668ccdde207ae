import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.inputs import check_names, described, dimensions

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


def test_shapes_read_as_lists():
    assert dimensions(INPUTS["x"]) == "[None, 3]"
    assert dimensions(INPUTS["any"]) == "of any shape"
    assert described({"id": INPUTS["id"]}) == "id: int64 [None]"
