"""JSON values, strictly: what reads them for requests is tested with those."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.protocol.json_values import shown, to_array


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([0.5, 1], tf.float16, np.float16([0.5, 1])),
        ([[0.5], [1]], tf.bfloat16, np.array([[0.5], [1]], tf.bfloat16.as_numpy_dtype)),
        (3, tf.uint16, np.uint16(3)),
        ([], tf.int64, np.zeros(0, np.int64)),
        ([float("nan")], tf.float32, np.float32([np.nan])),
        ([["a"], [{"b64": "/w=="}]], tf.string, np.array([[b"a"], [b"\xff"]], object)),
    ],
)
def test_values_become_an_array(value, dtype, expected):
    np.testing.assert_array_equal(to_array("y", value, dtype), expected, strict=True)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (None, tf.float32),
        ([None], tf.float32),
        (["1.5"], tf.float32),
        ([True], tf.float32),
        ([1.5], tf.int64),
        ([300], tf.int8),
        ([-1], tf.uint16),
        ([1], tf.bool),
        ([1], tf.string),
        ([{"b64": "!"}], tf.string),
        ([[1], [2, 3]], tf.float32),
        ([1, [2]], tf.float32),
        ({"a": 1}, tf.float32),
    ],
)
def test_what_is_none_of_a_dtype_is_refused(value, dtype):
    with pytest.raises(InputError, match=r"^output \'y\'"):
        to_array("output 'y'", value, dtype)


def test_an_error_shows_the_beginning_of_a_large_value():
    assert shown([1, "a"]) == '[1, "a"]'
    assert len(shown({"a": "b" * 10_000, "c": list(range(10_000))})) == 256
