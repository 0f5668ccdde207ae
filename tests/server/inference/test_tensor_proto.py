"""Arrays to TensorProto and back, against TensorFlow's own conversion."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.server.inference import tensor_proto

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
def test_tensorflow_reads_what_is_sent(array):
    sent = tensor_proto.from_array(array)
    assert not sent.tensor_content
    np.testing.assert_array_equal(tf.make_ndarray(sent), array, strict=True)


@pytest.mark.parametrize(
    ("array", "size"),
    [
        (np.full(10, -1, np.int8), 100),
        (np.full(10, 127, np.int8), 10),
        (np.full(10, 128, np.int32), 20),
        (np.array(2**63 - 1), 9),
        (np.ones(10, np.float16), 20),
        (np.ones(10, np.float32), 40),
        (np.ones(10, bool), 10),
        (np.zeros(0, np.int64), 0),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else value.dtype.name,
)
def test_an_answer_is_bounded_by_what_it_has_on_the_wire(array, size):
    proto = tensor_proto.to_response({"y": array}, size)["y"]
    assert tensor_proto.from_array(array) == proto
    frame = 30
    assert proto.ByteSize() <= size + frame
    if size:
        with pytest.raises(tf.errors.ResourceExhaustedError, match=f"the answer has {size} bytes"):
            tensor_proto.to_response({"y": array}, size - 1)


def test_values_beyond_a_chunk_are_sent_too():
    array = np.arange(150_000)
    np.testing.assert_array_equal(tf.make_ndarray(tensor_proto.from_array(array)), array)
