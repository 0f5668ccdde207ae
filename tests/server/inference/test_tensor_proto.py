"""Arrays on the wire, against TensorFlow's own conversion and protobuf's own writing."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensors import ARRAYS

from tfnorm.server.inference import tensor_proto

REST = PredictResponse(model_spec={"name": "ranker"})
MOST = 10**7


def received(most=MOST, **outputs):
    return PredictResponse.FromString(tensor_proto.response(outputs, REST, most))


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{list(array.shape)}")
def test_tensorflow_reads_what_is_sent(array):
    response = received(y=array, other=np.arange(3))
    assert response.model_spec == REST.model_spec
    assert not response.outputs["y"].tensor_content
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), array, strict=True)
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["other"]), [0, 1, 2])


@pytest.mark.parametrize(
    "array",
    [
        np.array([0, 1, 127, 128, 16_383, 16_384, 2**63 - 1, -1, -(2**63)]),
        np.array([0, 2**64 - 1, 2**63], np.uint64),
        np.array([-128, 127, 0], np.int8),
        np.array([-1.5, np.nan, 0], np.float16),
        np.array([1, -2], ml_dtypes.bfloat16),
        np.arange(150_000) * 7_919,
        np.array([b"", b"\xff" * 300, b"a"] * 30_000, object),
        np.array(5, np.int32),
        np.zeros((0, 3), np.int64),
        np.array([[True], [False]]),
        np.array([1 + 2j], np.complex64),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_it_is_what_protobuf_would_write(array):
    data = tensor_proto.response({"y": array}, REST, MOST * 10)
    response = PredictResponse.FromString(data)
    assert response.SerializeToString(deterministic=True) == data
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), array, strict=True)


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
    proto = received(size, y=array).outputs["y"]
    frame = 30
    assert proto.ByteSize() <= size + frame
    if size:
        with pytest.raises(tf.errors.ResourceExhaustedError, match=f"the answer has {size} bytes"):
            received(size - 1, y=array)


def test_an_answer_of_small_integers_takes_a_few_times_its_bytes():
    array = np.ones(2**23, np.int8)
    tracemalloc.start()
    data = tensor_proto.response({"y": array}, REST, 2 * array.nbytes)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert array.nbytes < len(data) < array.nbytes + 100
    assert most < 3 * array.nbytes
