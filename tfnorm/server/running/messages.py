"""What the server and a model's process tell one another, as JSON and arrays: nothing in it could be run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError

Block = bytes | bytearray | memoryview


class Call(NamedTuple):
    """A call of a model."""

    feeds: Mapping[str, np.ndarray]
    signature: str
    outputs: Sequence[str] | None
    max_bytes: int


class Loaded(NamedTuple):
    """What a process says once it has its model."""

    signature_defs: Mapping[str, bytes]
    resident: int


class Raised(NamedTuple):
    """An error on its way to the server: InputError, OutOfMemory, RuntimeError or one of TensorFlow's."""

    error: Exception
    cause: tf.errors.OpError | None = None


class OutOfMemory(Exception):
    """A call needs more memory than the process may take."""


Outputs = dict[str, np.ndarray]
Message = Call | Loaded | Raised | Outputs
_ERRORS = {error.__name__: error for error in (InputError, OutOfMemory, RuntimeError)}


def packed(message: Message) -> list[Block]:
    """A message as blocks, the first of which is JSON that says what is in the others."""
    blocks: list[Block] = []
    head: dict[str, Any]
    if isinstance(message, Loaded):
        head = {"resident": message.resident, "signatures": list(message.signature_defs)}
        blocks += message.signature_defs.values()
    elif isinstance(message, Raised):
        cause = message.cause
        head = {"error": _error(message.error), "cause": None if cause is None else _error(cause)}
    elif isinstance(message, Call):
        asked = (message.signature, message.outputs, message.max_bytes)
        head = {"asked": asked, "arrays": _arrays(message.feeds, blocks)}
    else:
        head = {"arrays": _arrays(message, blocks)}
    return [json.dumps(head).encode(), *blocks]


def unpacked(blocks: Sequence[Block]) -> Message:
    """The message in these blocks; its arrays of numbers lie in them."""
    text, *others = blocks
    head = json.loads(bytes(text))
    if "resident" in head:
        named = zip(head["signatures"], map(bytes, others), strict=True)
        return Loaded(dict(named), head["resident"])
    if "error" in head:
        cause = head["cause"]
        return Raised(_raised(*head["error"]), None if cause is None else _raised(*cause))
    left = iter(others)
    arrays = {name: _array(dtype, shape, left) for name, dtype, shape in head["arrays"]}
    return Call(arrays, *head["asked"]) if "asked" in head else arrays


def _arrays(arrays: Mapping[str, np.ndarray], blocks: list[Block]) -> list[tuple[Any, ...]]:
    """Each one's name, dtype and shape; its values go to the blocks."""
    found = []
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array).reshape(-1)
        if array.dtype == object:
            dtype = tf.string
            values = flat.tolist()
            sizes = np.fromiter(map(len, values), np.int64, len(values))
            blocks += [sizes.view(np.uint8).data, b"".join(values)]
        else:
            dtype = tf.as_dtype(array.dtype)
            blocks.append(flat.view(np.uint8).data)
        found.append((name, dtype.name, array.shape))
    return found


def _array(dtype: str, shape: Sequence[int], left: Iterator[Block]) -> np.ndarray:
    if dtype != tf.string.name:
        return np.frombuffer(next(left), tf.as_dtype(dtype).as_numpy_dtype).reshape(shape)
    sizes = np.frombuffer(next(left), np.int64).tolist()
    values = map(io.BytesIO(next(left)).read, sizes)
    return np.fromiter(values, object, len(sizes)).reshape(shape)


def _error(error: Exception) -> tuple[str | int, str]:
    """A code of TensorFlow's, or the name of another type, and the message."""
    if isinstance(error, tf.errors.OpError):
        return error.error_code, error.message
    return next(name for name, kind in _ERRORS.items() if isinstance(error, kind)), str(error)


def _raised(kind: str | int, message: str) -> Any:
    if isinstance(kind, int):
        type_of = tf.compat.v1.errors.exception_type_from_error_code
        return type_of(kind)(None, None, message)
    return _ERRORS[kind](message)
