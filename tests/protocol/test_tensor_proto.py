"""TensorProto to arrays, against TensorFlow's own conversion."""

import numpy as np
import pytest
import tensorflow as tf
from tensors import ARRAYS

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import STRING_BYTES, array_bytes, to_array


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{list(array.shape)}")
def test_what_tensorflow_sends_is_read(array):
    dtype = tf.string if array.dtype == object else array.dtype
    spec = tf.TensorSpec([None] * array.ndim, dtype)
    came = to_array("x", tf.make_tensor_proto(array), spec, 10_000)
    np.testing.assert_array_equal(came, array, strict=True)


@pytest.mark.parametrize(
    ("dtype", "shape", "values", "reason"),
    [
        (tf.string, [2**31], {}, "51,539,607,552 bytes; accepted: up to 10,000"),
        (tf.string, [40], {"string_val": [bytes(1_000)]}, "40,960 bytes"),
        (tf.float32, [2**26, 0], {}, "268,435,456 bytes"),
        (tf.float32, [2**26], {"float_val": [1]}, "268,435,456 bytes"),
        (tf.float32, [-1], {}, "every dimension known"),
        (tf.float32, [1] * 100, {}, "of 100 dimensions"),
        (tf.float64, [1], {}, "dtype float64 and shape [1]; accepted: dtype float32"),
        (tf.float32, [1, 1], {}, "shape [1, 1]; accepted: dtype float32 and shape [None]"),
        (tf.variant, [1], {}, "DT_VARIANT"),
        (tf.float32, [2], {"tensor_content": b"1234567"}, "7 bytes of tensor_content; accepted: 8"),
        (tf.string, [2], {"tensor_content": b"1234567"}, "accepted: strings in string_val"),
        (tf.float32, [1], {"float_val": [1, 2]}, "2 values; accepted: up to 1"),
    ],
)
def test_what_is_no_such_tensor_is_refused_before_it_is_built(dtype, shape, values, reason):
    proto = tf.make_tensor_proto(0.0)
    proto = type(proto)(
        dtype=dtype.as_datatype_enum,
        tensor_shape={"dim": [{"size": size} for size in shape]},
        **values,
    )
    known = tf.string if dtype == tf.string else tf.float32
    rank = 2 if 0 in shape else 1
    with pytest.raises(InputError, match=r"output \'y\'") as caught:
        to_array("output 'y'", proto, tf.TensorSpec([None] * rank, known), 10_000)
    assert reason in str(caught.value)


def test_an_integer_beyond_its_dtype_is_refused():
    proto = tf.make_tensor_proto(np.array([1], np.int8))
    proto.ClearField("tensor_content")
    proto.int_val[:] = [300]
    with pytest.raises(InputError, match="with a value that no int8 has"):
        to_array("input 'x'", proto, tf.TensorSpec([None], tf.int8), 10_000)


def test_a_dimension_of_zero_hides_no_rows():
    assert array_bytes([3, 2], tf.float64) == 48
    assert array_bytes([2**40, 0], tf.int8) == 2**40
    assert array_bytes([], tf.int32) == 4
    assert array_bytes([3], tf.string) == 3 * STRING_BYTES
