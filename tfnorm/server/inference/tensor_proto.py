"""TensorProto to array and back."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType

from tfnorm.errors import InputError

# dtype -> the field of its values, and what NumPy sees in that field.
_FIELDS = {
    tf.float32: ("float_val", np.float32),
    tf.float64: ("double_val", np.float64),
    tf.float16: ("half_val", np.uint16),
    tf.bfloat16: ("half_val", np.uint16),
    tf.int8: ("int_val", np.int8),
    tf.int16: ("int_val", np.int16),
    tf.int32: ("int_val", np.int32),
    tf.int64: ("int64_val", np.int64),
    tf.uint8: ("int_val", np.uint8),
    tf.uint16: ("int_val", np.uint16),
    tf.uint32: ("uint32_val", np.uint32),
    tf.uint64: ("uint64_val", np.uint64),
    tf.complex64: ("scomplex_val", np.float32),
    tf.complex128: ("dcomplex_val", np.float64),
    tf.bool: ("bool_val", np.bool_),
    tf.string: ("string_val", np.object_),
}
_DTYPES = {dtype.as_datatype_enum: dtype for dtype in _FIELDS}


def to_array(name: str, proto: TensorProto, max_bytes: int) -> np.ndarray:
    """The array in `proto`, which came as input `name`.

    Args:
        name: the input's name, for the error.
        proto: values in `tensor_content` or in the field of their dtype. Its last value may stand
            for all that follow, so a few bytes can ask for any amount of memory.
        max_bytes: the largest array accepted.

    Raises:
        InputError: `proto` is not a whole tensor, or it is over `max_bytes`.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    dtype = DataType.Name(proto.dtype) if proto.dtype in DataType.values() else proto.dtype
    came = f"input {name!r} is a TensorProto of dtype {dtype} and shape {shape}"
    if proto.dtype not in _DTYPES:
        raise InputError(f"{came}; accepted: dtypes of numbers, booleans and strings")
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise InputError(f"{came}; accepted: shapes with every dimension known")
    size = math.prod(shape) * _DTYPES[proto.dtype].size
    if size > max_bytes:
        raise InputError(f"{came}, {size:,} bytes; accepted: up to {max_bytes:,} bytes")
    try:
        return tf.make_ndarray(proto)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{came} that can't be read: {error}") from error


def from_array(array: np.ndarray) -> TensorProto:
    """`array` in the field of its dtype, where TensorFlow Serving puts it and clients look.

    Raises:
        tf.errors.UnimplementedError: its dtype has no field.
    """
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    if dtype not in _FIELDS:
        raise tf.errors.UnimplementedError(
            None,
            None,
            f"an output has dtype {dtype.name}, which this development server can't send",
        )
    field, stored = _FIELDS[dtype]
    proto = TensorProto(
        dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto()
    )
    getattr(proto, field).extend(array.ravel().view(stored).tolist())
    return proto
