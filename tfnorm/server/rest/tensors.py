"""The arrays of a predict request, from its JSON document."""

from __future__ import annotations

import base64
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType

from tfnorm.errors import InputError
from tfnorm.server.rest.documents import shown

# NumPy before 2 has no more dimensions.
_MAX_RANK = 32
FLOATS = frozenset({tf.float32, tf.float64})
INTEGERS = frozenset({tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64})
_JSON_TYPES = {
    type(None): "Null",
    bool: "Boolean",
    int: "Number",
    float: "Number",
    str: "String",
    list: "Array",
    dict: "Object",
}


def feeds(
    document: Mapping[str, Any], inputs: Mapping[str, tf.TensorSpec]
) -> dict[str, np.ndarray]:
    """The arrays in a request, in row format (`instances`) or column format (`inputs`).

    Args:
        document: the request.
        inputs: those of the signature; their dtypes say how the values are read.

    Raises:
        InputError: the document has neither format, or its values don't fit `inputs`.
        tf.errors.UnimplementedError: an input has a dtype that JSON can't carry, here and there.
    """
    if not inputs:
        raise InputError("Failed to get input map for signature: it takes no input")
    if is_row_format(document):
        if "inputs" in document:
            raise InputError(
                "Not formatted correctly: expecting only one of 'inputs' or 'instances'"
            )
        columns = _transpose(document["instances"], inputs)
    elif "inputs" in document:
        columns = _columns(document["inputs"], inputs)
    else:
        raise InputError("Missing 'inputs' or 'instances' key")
    return {name: _array(name, columns[name], spec.dtype) for name, spec in inputs.items()}


def is_row_format(document: Mapping[str, Any]) -> bool:
    """Whether a request has its examples one by one, and so wants its answer."""
    return "instances" in document


def _transpose(instances: Any, inputs: Mapping[str, tf.TensorSpec]) -> dict[str, list[Any]]:
    """Input name -> its value in each instance."""
    if type(instances) is not list:
        raise InputError("Expecting 'instances' to be a list/array")
    if not instances:
        raise InputError("No values in 'instances' array")
    named = _is_named(instances[0])
    if not named and len(inputs) > 1:
        raise InputError(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            f"required: {', '.join(inputs)}"
        )
    for index, instance in enumerate(instances):
        if _is_named(instance) != named:
            expected, came = ("object", "list") if named else ("value/list", "object")
            raise InputError(f"Expecting {expected} but got {came} at item {index} of input list")
        if named and instance.keys() != inputs.keys():
            raise InputError(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{shown(instance)} keys must be equal to: {','.join(sorted(inputs))}"
            )
    if not named:
        return dict.fromkeys(inputs, instances)
    return {name: [instance[name] for instance in instances] for name in inputs}


def _columns(given: Any, inputs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    if not _is_named(given):
        if len(inputs) > 1:
            raise InputError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                f"required: {', '.join(inputs)}"
            )
        return dict.fromkeys(inputs, given)
    if missing := inputs.keys() - given.keys():
        raise InputError(f"Missing named input: {', '.join(sorted(missing))} in 'inputs' object.")
    return {name: given[name] for name in inputs}


def _array(name: str, value: Any, dtype: tf.DType) -> np.ndarray:
    """A JSON value, nested to any depth, as one array of `dtype`."""
    shape: list[int] = []
    level = [value]
    while level and type(level[0]) is list:
        size = len(level[0])
        for index, item in enumerate(level):
            if type(item) is not list or len(item) != size:
                came = f"a list of {len(item)}" if type(item) is list else shown(item)
                raise InputError(
                    f"{_at(name, index, shape)} is {came}, where the first is a list of {size}; "
                    "accepted: lists of one size at each level"
                )
        shape.append(size)
        if len(shape) > _MAX_RANK:
            raise InputError(f"input {name!r} is nested deeper than {_MAX_RANK} lists")
        level = list(itertools.chain.from_iterable(level))
    read = _reader(dtype)
    values = []
    try:
        for leaf in level:
            values.append(read(leaf))
    except ValueError as error:
        raise InputError(f"{_at(name, len(values), shape)}: {error}") from error
    # A number beyond float32 becomes infinite, as in TensorFlow Serving.
    with np.errstate(over="ignore"):
        return np.array(values, dtype.as_numpy_dtype).reshape(shape)


def _reader(dtype: tf.DType) -> Callable[[Any], Any]:
    """What makes a value of `dtype` of one in JSON, or raises: 1.0 is no integer, 1 no boolean."""
    if dtype == tf.string:
        return decoded
    if dtype in FLOATS:
        largest = sys.float_info.max

        def fits(value: Any) -> bool:
            return type(value) is float or (type(value) is int and abs(value) <= largest)

    elif dtype in INTEGERS:
        low, high = dtype.min, dtype.max

        def fits(value: Any) -> bool:
            return type(value) is int and low <= value <= high

    elif dtype == tf.bool:

        def fits(value: Any) -> bool:
            return type(value) is bool

    else:
        raise tf.errors.UnimplementedError(
            None,
            None,
            f"Conversion of JSON Value to type: {dtype_name(dtype)} is not implemented, here and "
            "in TensorFlow Serving; use gRPC",
        )

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


def _is_named(value: Any) -> bool:
    return type(value) is dict and not is_base64(value)


def _at(name: str, index: int, shape: Sequence[int]) -> str:
    """Where in input `name` the value is that comes at `index` in `shape`, flattened."""
    position = np.unravel_index(index, shape) if shape else ()
    return f"input {name!r}" + "".join(f"[{i}]" for i in position)


def dtype_name(dtype: tf.DType) -> str:
    """As TensorFlow Serving calls it: float, half, int64."""
    name: str = DataType.Name(dtype.as_datatype_enum)
    return name.removeprefix("DT_").lower()
