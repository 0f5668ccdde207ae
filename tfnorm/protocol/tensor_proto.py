"""TensorProto to array, checked before any is built."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType

from tfnorm.errors import InputError

FIELDS = {
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
"""dtype -> the field of its values, and what NumPy sees in that field."""

_STRING = tf.string.as_datatype_enum
_DTYPES = {dtype.as_datatype_enum: dtype for dtype in FIELDS}
STRING_BYTES = 24
"""What TensorFlow takes for a string, its characters aside."""


def array_bytes(shape: Sequence[int], dtype: tf.DType) -> int:
    """The bytes of an array, its strings' characters aside.

    A dimension of 0 counts as 1: the others still say how many rows a model works on.
    """
    each = STRING_BYTES if dtype == tf.string else dtype.size
    return math.prod(max(size, 1) for size in shape) * each


def to_array(what: str, proto: TensorProto, spec: tf.TensorSpec, max_bytes: int) -> np.ndarray:
    """The array in `proto`.

    Args:
        what: which input or output it is, for the error.
        proto: values in `tensor_content` or in the field of their dtype. Its last value may stand
            for all that follow, so a few bytes can ask for any amount of memory.
        spec: the dtype and shape that the signature has for it; all is checked before it is built.
        max_bytes: the largest array accepted.

    Raises:
        InputError: `proto` is not a whole tensor, not one of `spec`, or it is over `max_bytes`.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]

    def refused(why: object) -> InputError:
        came = f"{what} is a TensorProto of dtype {_named(proto.dtype)} and shape {_shown(shape)}"
        return InputError(f"{came}{why}")

    if proto.dtype not in _DTYPES:
        raise refused("; accepted: dtypes of numbers, booleans and strings")
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise refused("; accepted: shapes with every dimension known")
    if proto.dtype != spec.dtype.as_datatype_enum or not fits(shape, spec):
        accepted = spec.shape.as_list() if spec.shape.rank is not None else "of any rank"
        raise refused(f"; accepted: dtype {spec.dtype.name} and shape {accepted}")
    content = proto.tensor_content
    size = len(content) or array_bytes(shape, spec.dtype) + _characters(proto, shape)
    if size > max_bytes:
        raise refused(f", {size:,} bytes; accepted: up to {max_bytes:,} bytes")
    if content:
        if proto.dtype == _STRING:
            raise refused(" with tensor_content; accepted: strings in string_val")
        needed = math.prod(shape) * spec.dtype.size
        if len(content) != needed:
            raise refused(f" with {len(content):,} bytes of tensor_content; accepted: {needed:,}")
    field, _ = FIELDS[spec.dtype]
    # A complex number is two values.
    held = math.ceil(len(getattr(proto, field)) / (2 if spec.dtype.is_complex else 1))
    if not content and held > math.prod(shape):
        raise refused(f" with {held:,} values; accepted: up to {math.prod(shape):,}")
    try:
        if content:
            # As tf.make_ndarray has it, in a fifth of the time.
            return np.frombuffer(content, spec.dtype.as_numpy_dtype).reshape(shape).copy()
        array: np.ndarray = tf.make_ndarray(proto)
    except OverflowError as error:
        raise refused(f" with a value that no {spec.dtype.name} has") from error
    except ValueError as error:
        raise refused("; accepted: as many dimensions as a NumPy array may have") from error
    return array


def fits(shape: Sequence[int], spec: tf.TensorSpec) -> bool:
    """Whether a shape is one that the spec has; `is_compatible_with` takes ten times as long."""
    if spec.shape.rank is None:
        return True
    sizes = spec.shape.as_list()
    return len(sizes) == len(shape) and all(
        size is None or size == given for given, size in zip(shape, sizes, strict=True)
    )


def _characters(proto: TensorProto, shape: Sequence[int]) -> int:
    """The bytes of all strings, of which the last may stand for many."""
    held = len(proto.string_val)
    if proto.dtype != _STRING or not held:
        return 0
    repeated = max(0, array_bytes(shape, tf.uint8) - held)
    return sum(map(len, proto.string_val)) + repeated * len(proto.string_val[-1])


def _named(dtype: int) -> str:
    if dtype in _DTYPES:
        return str(_DTYPES[dtype].name)
    return str(DataType.Name(dtype) if dtype in DataType.values() else dtype)


def _shown(shape: Sequence[int]) -> str:
    few = 32
    return str(list(shape)) if len(shape) <= few else f"of {len(shape):,} dimensions"
