"""Array to TensorProto, for an answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from tfnorm.protocol.tensor_proto import FIELDS
from tfnorm.server.bounds import too_large

# Python's objects for an array's values take eight times its bytes: they are made a few at a time.
_CHUNK = 1 << 16
_VARINT_BITS = 7
_LONGEST_VARINT = 10


def to_response(outputs: Mapping[str, np.ndarray], max_bytes: int) -> dict[str, TensorProto]:
    """The outputs as they are sent.

    Raises:
        tf.errors.UnimplementedError: a dtype has no field.
        tf.errors.ResourceExhaustedError: all together have over `max_bytes` bytes on the wire.
    """
    sent = sum(map(_wire_bytes, outputs.values()))
    if sent > max_bytes:
        raise too_large(f"the answer has {sent:,} bytes", max_bytes)
    return {name: from_array(array) for name, array in outputs.items()}


def from_array(array: np.ndarray) -> TensorProto:
    """`array` in the field of its dtype, where TensorFlow Serving puts it and clients look.

    Raises:
        tf.errors.UnimplementedError: its dtype has no field.
    """
    dtype = _dtype(array)
    if dtype not in FIELDS:
        raise tf.errors.UnimplementedError(
            None,
            None,
            f"an output has dtype {dtype.name}, which this development server can't send",
        )
    field, stored = FIELDS[dtype]
    proto = TensorProto(
        dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto()
    )
    values = getattr(proto, field)
    flat: np.ndarray = array.ravel().view(stored)
    for start in range(0, flat.size, _CHUNK):
        values.extend(flat[start : start + _CHUNK].tolist())
    return proto


def _dtype(array: np.ndarray) -> tf.DType:
    return tf.string if array.dtype == object else tf.as_dtype(array.dtype)


def _wire_bytes(array: np.ndarray) -> int:
    """The most bytes that an array has in the field of its dtype."""
    if array.dtype == object:
        return sum(map(len, array.flat)) + array.size * _LONGEST_VARINT
    _, stored = FIELDS.get(_dtype(array), ("", array.dtype))
    if not array.size or np.dtype(stored).kind not in "iu":
        return array.nbytes
    flat = array.view(stored) if array.ndim else array.reshape(1).view(stored)
    longest = max(1, -(-int(flat.max()).bit_length() // _VARINT_BITS))
    return array.size * (_LONGEST_VARINT if flat.min() < 0 else longest)
