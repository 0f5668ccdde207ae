"""Arrays to TensorProto and back, against TensorFlow's own conversion."""

import numpy as np
import pytest
import tensorflow as tf
from tensors import ARRAYS

from tfnorm.server.inference import tensor_proto


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
