"""JSON values to arrays: 1.0 is no integer, 1 no boolean, and null nothing at all."""

from __future__ import annotations

import base64
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType

from tfnorm.errors import InputError

# NumPy before 2 has no more dimensions.
_MAX_RANK = 32
_SHOWN = 256
_JSON_TYPES = {
    type(None): "Null",
    bool: "Boolean",
    int: "Number",
    float: "Number",
    str: "String",
    list: "Array",
    dict: "Object",
}


def to_array(what: str, value: Any, dtype: tf.DType) -> np.ndarray:
    """A JSON value, nested to any depth, as one array of `dtype`.

    Args:
        what: which input or output it is, for the error.
        value: numbers, booleans or strings in lists; a string may be bytes in base64.
        dtype: floating, integer, boolean or string.

    Raises:
        InputError: the lists are uneven, or a value is none of `dtype`.
    """
    shape: list[int] = []
    level = [value]
    while level and type(level[0]) is list:
        size = len(level[0])
        for index, item in enumerate(level):
            if type(item) is not list or len(item) != size:
                came = f"a list of {len(item)}" if type(item) is list else shown(item)
                raise InputError(
                    f"{_at(what, index, shape)} is {came}, where the first is a list of {size}; "
                    "accepted: lists of one size at each level"
                )
        shape.append(size)
        if len(shape) > _MAX_RANK:
            raise InputError(f"{what} is nested deeper than {_MAX_RANK} lists")
        level = list(itertools.chain.from_iterable(level))
    read = _reader(dtype)
    values = []
    try:
        for leaf in level:
            values.append(read(leaf))
    except ValueError as error:
        raise InputError(f"{_at(what, len(values), shape)}: {error}") from error
    # A number beyond float32 becomes infinite, as in TensorFlow Serving.
    with np.errstate(over="ignore"):
        return np.array(values, dtype.as_numpy_dtype).reshape(shape)


def _reader(dtype: tf.DType) -> Callable[[Any], Any]:
    """What makes a value of `dtype` of one in JSON, or raises: 1.0 is no integer, 1 no boolean."""
    if dtype == tf.string:
        return decoded
    if dtype.is_floating:
        largest = sys.float_info.max

        def fits(value: Any) -> bool:
            return type(value) is float or (type(value) is int and abs(value) <= largest)

    elif dtype.is_integer:
        low, high = dtype.min, dtype.max

        def fits(value: Any) -> bool:
            return type(value) is int and low <= value <= high

    else:

        def fits(value: Any) -> bool:
            return type(value) is bool

    def read(value: Any) -> Any:
        if not fits(value):
            raise _type_error(value, dtype)
        return value

    return read


def decoded(value: Any) -> bytes:
    """The bytes of a string, or of one in base64; ValueError where it is neither."""
    if type(value) is str:
        return value.encode(errors="surrogateescape")
    if not is_base64(value):
        raise _type_error(value, tf.string)
    text = "".join(value["b64"].split())
    digits = text.rstrip("=")
    padding = "=" * (-len(digits) % 4)
    if text not in (digits, digits + padding):
        raise ValueError("Unable to base64 decode: its padding is of another length")
    return base64.b64decode(digits + padding, validate=True)


def _type_error(value: Any, dtype: tf.DType) -> ValueError:
    return ValueError(
        f"JSON Value: {shown(value)} Type: {_JSON_TYPES[type(value)]} "
        f"is not of expected type: {dtype_name(dtype)}"
    )


def is_base64(value: Any) -> bool:
    """Whether a value is bytes in base64."""
    return type(value) is dict and value.keys() == {"b64"} and type(value["b64"]) is str


def _at(what: str, index: int, shape: Sequence[int]) -> str:
    """Where in an input or output the value is that comes at `index` in `shape`, flattened."""
    position = np.unravel_index(index, shape) if shape else ()
    return what + "".join(f"[{i}]" for i in position)


def dtype_name(dtype: tf.DType) -> str:
    """As TensorFlow Serving calls it: float, half, int64."""
    name: str = DataType.Name(dtype.as_datatype_enum)
    return name.removeprefix("DT_").lower()


def shown(value: Any) -> str:
    """The beginning of a value, for an error."""
    encoder = json.JSONEncoder()
    text = ""
    try:
        for piece in encoder.iterencode(value):
            text += piece[:_SHOWN]
            if len(text) >= _SHOWN:
                break
    except RecursionError:
        return "(nested too deep to show)"
    return text[:_SHOWN]
