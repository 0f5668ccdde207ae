"""TensorProto to arrays, against TensorFlow's own conversion."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import STRING_BYTES, array_bytes, to_array

BRAIN = tf.bfloat16.as_numpy_dtype
ARRAYS = [
    np.array([[1.5, -0.0, np.inf], [np.nan, 1e-45, -3.4e38]], np.float32),
    np.array(np.pi),
    np.array([0.1, -2, 65504], np.float16),
    np.array([[0.1], [-2]], BRAIN),
    np.array([-128, 127], np.int8),
    np.array([-(2**15), 2**15 - 1], np.int16),
    np.array([[-(2**31)], [2**31 - 1]], np.int32),
    np.array([-(2**63), 2**63 - 1], np.int64),
    np.array([0, 255], np.uint8),
    np.array([0, 2**16 - 1], np.uint16),
    np.array([0, 2**32 - 1], np.uint32),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([True, False]),
    np.array([[b"", b"\x00\xff"]], object),
    np.array([1 + 2j, -3.5j], np.complex64),
    np.array(1 - 1j, np.complex128),
    np.zeros((0, 4), np.float32),
    np.arange(12, dtype=np.float32).reshape(3, 4).T,
]


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
        (tf.float32, [2], {"tensor_content": b"1234567"}, "can't be read"),
        (tf.float32, [1], {"float_val": [1, 2]}, "can't be read"),
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


def test_a_dimension_of_zero_hides_no_rows():
    assert array_bytes([3, 2], tf.float64) == 48
    assert array_bytes([2**40, 0], tf.int8) == 2**40
    assert array_bytes([], tf.int32) == 4
    assert array_bytes([3], tf.string) == 3 * STRING_BYTES
