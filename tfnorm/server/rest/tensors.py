"""The arrays of a predict request, from its JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.protocol.json_values import dtype_name, is_base64, shown, to_array
from tfnorm.protocol.tensor_proto import FIELDS

CARRIED = frozenset(
    {tf.float32, tf.float64, tf.bool, tf.string}
    | {tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64}
)
"""The dtypes that TensorFlow Serving reads from JSON, and writes."""


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
    found = {
        name: to_array(f"input {name!r}", columns[name], _read_as(spec.dtype))
        for name, spec in inputs.items()
    }
    # Only now: what is malformed is no request that could be implemented.
    for name, spec in inputs.items():
        if found[name].size:
            _check_dtype(spec.dtype)
    return {
        name: array.astype(inputs[name].dtype.as_numpy_dtype, copy=False)
        for name, array in found.items()
    }


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


def _is_named(value: Any) -> bool:
    return type(value) is dict and not is_base64(value)


def _read_as(dtype: tf.DType) -> tf.DType:
    """The dtype whose values JSON has for an input; numbers, where it has none."""
    return dtype if dtype in FIELDS and not dtype.is_complex else tf.float64


def _check_dtype(dtype: tf.DType) -> None:
    if dtype not in CARRIED:
        raise tf.errors.UnimplementedError(
            None,
            None,
            f"Conversion of JSON Value to type: {dtype_name(dtype)} is not implemented, here and "
            "in TensorFlow Serving; use gRPC",
        )
