"""Arrays as a PredictResponse has them, written as they go over the wire.

A message takes many times as much: protobuf has an int8 in four bytes, and keeps the smaller blocks in which
values were before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictResponse

from tfnorm.protocol.tensor_proto import FIELDS
from tfnorm.protocol.wire import CONTINUES, LENGTH
from tfnorm.server.bounds import too_large

# What is made of values takes many times their bytes: it is made for a few at a time.
_CHUNK = 1 << 16
_VARINT_BITS = 7
_LONGEST_VARINT = 10
# An entry of a map, as protobuf has it.
_KEY, _VALUE = 1, 2
_OUTPUTS = PredictResponse.DESCRIPTOR.fields_by_name["outputs"].number

Piece = bytes | memoryview


def response(outputs: Mapping[str, np.ndarray], rest: PredictResponse, max_bytes: int) -> bytes:
    """A response with these outputs, each in the field of its dtype, as TensorFlow Serving has it.

    Args:
        outputs: what a model gave.
        rest: the response without them.
        max_bytes: how many bytes all of them may have on the wire.

    Raises:
        tf.errors.UnimplementedError: a dtype has no field.
        tf.errors.ResourceExhaustedError: they have more.
    """
    sent = sum(map(_wire_bytes, outputs.values()))
    if sent > max_bytes:
        raise too_large(f"the answer has {sent:,} bytes", max_bytes)
    pieces: list[Piece] = []
    for name, array in outputs.items():
        entry = [*_field(_KEY, [name.encode()]), *_field(_VALUE, [*_tensor(array)])]
        pieces += _field(_OUTPUTS, entry)
    return b"".join([*pieces, rest.SerializeToString()])


def _tensor(array: np.ndarray) -> Iterator[Piece]:
    dtype = _dtype(array)
    if dtype not in FIELDS:
        raise tf.errors.UnimplementedError(
            None,
            None,
            f"an output has dtype {dtype.name}, which this development server can't send",
        )
    field, stored = FIELDS[dtype]
    shape = tf.TensorShape(array.shape).as_proto()
    yield TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=shape).SerializeToString()
    flat: np.ndarray = array.ravel().view(stored)
    chunks = [flat[start : start + _CHUNK] for start in range(0, flat.size, _CHUNK)]
    if dtype == tf.string:
        for chunk in chunks:
            yield TensorProto(string_val=chunk.tolist()).SerializeToString()
    elif chunks:
        values = map(_varints, chunks) if flat.dtype.kind in "iu" else [flat.view(np.uint8).data]
        yield from _field(TensorProto.DESCRIPTOR.fields_by_name[field].number, [*values])


def _field(number: int, pieces: Sequence[Piece]) -> list[Piece]:
    """A field that holds these pieces, of which each byte counts."""
    return [_varint(number << 3 | LENGTH) + _varint(sum(map(len, pieces))), *pieces]


def _varint(value: int) -> bytes:
    low, rest = value % CONTINUES, value // CONTINUES
    return bytes([low | CONTINUES]) + _varint(rest) if rest else bytes([low])


def _varints(values: np.ndarray) -> bytes:
    """Integers one after the other, seven bits a byte, the lowest first; a negative one has all 64."""
    wide = values.astype(np.int64 if values.dtype.kind == "i" else np.uint64).view(np.uint64)
    count = _varint_bytes(int(wide.max()))
    shifted = wide[:, None] >> np.arange(count, dtype=np.uint64) * np.uint64(_VARINT_BITS)
    more = shifted >= CONTINUES
    found = (shifted | more * np.uint64(CONTINUES)).astype(np.uint8)
    is_there = np.ones(found.shape, np.bool_)
    is_there[:, 1:] = more[:, :-1]
    data: bytes = found[is_there].tobytes()
    return data


def _varint_bytes(value: int) -> int:
    return max(1, -(-value.bit_length() // _VARINT_BITS))


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
    longest = _varint_bytes(int(flat.max()))
    return array.size * (_LONGEST_VARINT if flat.min() < 0 else longest)
