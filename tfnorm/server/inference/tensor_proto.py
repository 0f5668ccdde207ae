"""TensorProto to array and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType

from tfnorm.errors import InputError
from tfnorm.server.inference.bounds import array_bytes, too_large

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
# Python's objects for an array's values take eight times its bytes: they are made a few at a time.
_CHUNK = 1 << 16
_VARINT_BITS = 7
_LONGEST_VARINT = 10


def to_array(name: str, proto: TensorProto, spec: tf.TensorSpec, max_bytes: int) -> np.ndarray:
    """The array in `proto`, which came as input `name`.

    Args:
        name: the input's name, for the error.
        proto: values in `tensor_content` or in the field of their dtype. Its last value may stand
            for all that follow, so a few bytes can ask for any amount of memory.
        spec: the dtype and shape that the signature has for it; all is checked before it is built.
        max_bytes: the largest array accepted.

    Raises:
        InputError: `proto` is not a whole tensor, not one of `spec`, or it is over `max_bytes`.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    came = (
        f"input {name!r} is a TensorProto of dtype {_named(proto.dtype)} and shape {_shown(shape)}"
    )
    if proto.dtype not in _DTYPES:
        raise InputError(f"{came}; accepted: dtypes of numbers, booleans and strings")
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise InputError(f"{came}; accepted: shapes with every dimension known")
    if _DTYPES[proto.dtype] != spec.dtype or not spec.shape.is_compatible_with(shape):
        accepted = spec.shape.as_list() if spec.shape.rank is not None else "of any rank"
        raise InputError(f"{came}; accepted: dtype {spec.dtype.name} and shape {accepted}")
    size = array_bytes(shape, spec.dtype) + _characters(proto, shape)
    if size > max_bytes:
        raise InputError(f"{came}, {size:,} bytes; accepted: up to {max_bytes:,} bytes")
    try:
        array: np.ndarray = tf.make_ndarray(proto)
        return array
    except (ValueError, OverflowError) as error:
        raise InputError(f"{came} that can't be read: {error}") from error


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
    values = getattr(proto, field)
    flat: np.ndarray = array.ravel().view(stored)
    for start in range(0, flat.size, _CHUNK):
        values.extend(flat[start : start + _CHUNK].tolist())
    return proto


def _dtype(array: np.ndarray) -> tf.DType:
    return tf.string if array.dtype == object else tf.as_dtype(array.dtype)


def _characters(proto: TensorProto, shape: Sequence[int]) -> int:
    """The bytes of all strings, of which the last may stand for many."""
    held = len(proto.string_val)
    if proto.dtype != tf.string.as_datatype_enum or not held:
        return 0
    repeated = max(0, array_bytes(shape, tf.uint8) - held)
    return sum(map(len, proto.string_val)) + repeated * len(proto.string_val[-1])


def _wire_bytes(array: np.ndarray) -> int:
    """The most bytes that an array has in the field of its dtype."""
    if array.dtype == object:
        return sum(map(len, array.flat)) + array.size * _LONGEST_VARINT
    _, stored = _FIELDS.get(_dtype(array), ("", array.dtype))
    if not array.size or np.dtype(stored).kind not in "iu":
        return array.nbytes
    flat = array.view(stored) if array.ndim else array.reshape(1).view(stored)
    longest = max(1, -(-int(flat.max()).bit_length() // _VARINT_BITS))
    return array.size * (_LONGEST_VARINT if flat.min() < 0 else longest)


def _named(dtype: int) -> str:
    if dtype in _DTYPES:
        return str(_DTYPES[dtype].name)
    return str(DataType.Name(dtype) if dtype in DataType.values() else dtype)


def _shown(shape: Sequence[int]) -> str:
    few = 32
    return str(list(shape)) if len(shape) <= few else f"of {len(shape):,} dimensions"
