"""TensorFlow Serving's JSON: a predict request to arrays, and arrays to its answer."""

from __future__ import annotations

import base64
import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType

from tfnorm.errors import InputError

# NumPy before 2 has no more dimensions.
_MAX_RANK = 32
_SHOWN = 256
_FLOATS = frozenset({tf.float32, tf.float64})
_INTEGERS = frozenset({tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64})
_JSON_TYPES = {
    type(None): "Null",
    bool: "Boolean",
    int: "Number",
    float: "Number",
    str: "String",
    list: "Array",
    dict: "Object",
}


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises:
        InputError: the body is no JSON object.
    """
    if not body:
        raise InputError("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except RecursionError as error:
        raise InputError("JSON Parse error: it is nested too deep") from error
    except ValueError as error:
        raise InputError(f"JSON Parse error: {error}") from error
    if type(document) is not dict:
        raise InputError(f"JSON Value: {_show(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any], default: str) -> str:
    """The signature that a request names.

    Raises:
        InputError: it names one with something else than a string.
    """
    name = document.get("signature_name", default)
    if type(name) is not str:
        raise InputError(
            f"JSON Value: {_show(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name or default


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


def answer(outputs: Mapping[str, np.ndarray], *, rows: bool) -> str:
    """The JSON that answers a request, in the request's own format.

    A float is written with the fewest digits that read back as the same float.

    Raises:
        InputError: JSON can't carry these outputs.
    """
    columns = {name: _json_values(name, array) for name, array in outputs.items()}
    if not rows:
        return json.dumps({"outputs": _unwrap(columns)})
    sizes = {name: array.shape[:1] for name, array in outputs.items()}
    if () in sizes.values() or len(set(sizes.values())) > 1:
        shapes = ", ".join(f"{name!r} {list(array.shape)}" for name, array in outputs.items())
        raise InputError(
            f"outputs of shapes {shapes} have no batch size in common, so there are no rows to "
            "answer with; send 'inputs' rather than 'instances'"
        )
    examples = zip(*columns.values(), strict=True)
    predictions = [_unwrap(dict(zip(columns, values, strict=True))) for values in examples]
    return json.dumps({"predictions": predictions})


def _transpose(instances: Any, inputs: Mapping[str, tf.TensorSpec]) -> dict[str, list]:
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
                f"{_show(instance)} keys must be equal to: {','.join(sorted(inputs))}"
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
    # TensorFlow Serving lets this pass; a misspelt name is better found here.
    if unknown := given.keys() - inputs.keys():
        raise InputError(
            f"there is no input {', '.join(map(repr, sorted(unknown)))}; "
            f"the signature takes {', '.join(map(repr, inputs))}"
        )
    return dict(given)


def _array(name: str, value: Any, dtype: tf.DType) -> np.ndarray:
    """A JSON value, nested to any depth, as one array of `dtype`."""
    shape: list[int] = []
    level = [value]
    while level and type(level[0]) is list:
        size = len(level[0])
        for index, item in enumerate(level):
            if type(item) is not list or len(item) != size:
                came = f"a list of {len(item)}" if type(item) is list else _show(item)
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
        return _bytes
    if dtype in _FLOATS:
        largest = sys.float_info.max

        def fits(value: Any) -> bool:
            return type(value) is float or (type(value) is int and abs(value) <= largest)

    elif dtype in _INTEGERS:
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
            f"Conversion of JSON Value to type: {_dtype_name(dtype)} is not implemented, here and "
            "in TensorFlow Serving; use gRPC",
        )

    def read(value: Any) -> Any:
        if not fits(value):
            raise _type_error(value, dtype)
        return value

    return read


def _bytes(value: Any) -> bytes:
    if type(value) is str:
        return value.encode()
    if not _is_base64(value):
        raise _type_error(value, tf.string)
    text = "".join(value["b64"].split()).rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _type_error(value: Any, dtype: tf.DType) -> ValueError:
    return ValueError(
        f"JSON Value: {_show(value)} Type: {_JSON_TYPES[type(value)]} "
        f"is not of expected type: {_dtype_name(dtype)}"
    )


def _json_values(name: str, array: np.ndarray) -> Any:
    """`array` as nested lists of what JSON has."""
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    if dtype == tf.string:
        texts = [_json_string(name, value) for value in array.ravel()]
        return np.array(texts, object).reshape(array.shape).tolist()
    if dtype == tf.float32:
        return array.astype(str).astype(np.float64).tolist()
    if dtype in _FLOATS | _INTEGERS | {tf.bool}:
        return array.tolist()
    raise InputError(
        f"Failed to write JSON value for tensor type: {_dtype_name(dtype)}, of output {name!r}, "
        "as TensorFlow Serving would; use gRPC"
    )


def _json_string(name: str, value: bytes) -> str | dict[str, str]:
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"output {name!r} has {value[:_SHOWN]!r}, which is not UTF-8; an output that holds any "
            "bytes needs a name that ends with _bytes, and is then sent in base64"
        ) from error


def _unwrap(named: dict[str, Any]) -> Any:
    """The value itself where there is but one."""
    return named if len(named) > 1 else next(iter(named.values()))


def _is_base64(value: Any) -> bool:
    return type(value) is dict and value.keys() == {"b64"} and type(value["b64"]) is str


def _is_named(value: Any) -> bool:
    return type(value) is dict and not _is_base64(value)


def _at(name: str, index: int, shape: Sequence[int]) -> str:
    """Where in input `name` the value is that comes at `index` in `shape`, flattened."""
    position = np.unravel_index(index, shape) if shape else ()
    return f"input {name!r}" + "".join(f"[{i}]" for i in position)


def _show(value: Any) -> str:
    try:
        return json.dumps(value)[:_SHOWN]
    except RecursionError:
        return "(nested too deep to show)"


def _dtype_name(dtype: tf.DType) -> str:
    """As TensorFlow Serving calls it: float, half, int64."""
    return DataType.Name(dtype.as_datatype_enum).removeprefix("DT_").lower()
