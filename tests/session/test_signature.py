import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfnorm.errors import InputError
from tfnorm.session import Signature, tensor_specs


def test_tensors_are_specified_in_the_order_of_their_names():
    infos = {
        name: meta_graph_pb2.TensorInfo(
            dtype=tf.int32.as_datatype_enum, tensor_shape=tf.TensorShape([None, size]).as_proto()
        )
        for size, name in enumerate("cab")
    }
    assert list(tensor_specs(infos).items()) == [
        ("a", tf.TensorSpec([None, 1], tf.int32, "a")),
        ("b", tf.TensorSpec([None, 2], tf.int32, "b")),
        ("c", tf.TensorSpec([None, 0], tf.int32, "c")),
    ]


def signature(**inputs):
    return Signature("serving_default", "predict", inputs, {})


def test_arrays_come_in_the_order_of_the_inputs():
    called = signature(b=tf.TensorSpec([None, 2]), a=tf.TensorSpec([None], tf.string))
    given = {"a": np.array([b"x"], object), "b": np.zeros((1, 2), np.float32)}
    arrays = called.check(given)
    assert arrays[0] is given["b"]
    assert arrays[1] is given["a"]


@pytest.mark.parametrize("dtype", [">f4", "<f4"])
def test_arrays_are_given_in_the_byte_order_of_this_machine(dtype):
    (array,) = signature(x=tf.TensorSpec([None])).check({"x": np.array([1, 2.5], dtype)})
    assert array.dtype.isnative
    assert array.tolist() == [1, 2.5]


SHAPES = [(), (0,), (3,), (2, 3), (4, 3), (2, 4), (2, 3, 1)]


@pytest.mark.parametrize("expected", [None, [], [None], [2], [None, 3], [2, 3], [None, None]])
@pytest.mark.parametrize("dtype", [tf.float32, tf.int64, tf.bfloat16, tf.string, tf.resource])
def test_an_array_fits_where_tensorflow_calls_dtype_and_shape_compatible(expected, dtype):
    spec = tf.TensorSpec(expected, dtype)
    called = signature(x=spec)
    for given in (np.float32, np.float64, np.int64, tf.bfloat16.as_numpy_dtype, object, "S1", "U1"):
        for shape in SHAPES:
            array = np.zeros(shape, given)
            fits = spec.shape.is_compatible_with(shape) and dtype == (
                tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
            )
            for _ in range(2):
                if fits:
                    assert called.check({"x": array})[0] is array
                else:
                    with pytest.raises(InputError, match="input 'x' has dtype"):
                        called.check({"x": array})
