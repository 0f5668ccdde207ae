"""The tf.Example records of a classify or regress request, from its JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis.input_pb2 import Input

from tfnorm.errors import InputError
from tfnorm.protocol.json_values import decoded, is_base64, shown

_INT64 = range(-(2**63), 2**63)
_LARGEST_UINT64 = 2**64 - 1


def records(document: Mapping[str, Any]) -> Input:
    """The examples of a request, with their context where it has one.

    Raises:
        InputError: there are none, or a value makes no feature.
    """
    found = Input()
    examples = found.example_list.examples
    if "context" in document:
        context = _example(document["context"])
        found.example_list_with_context.context.CopyFrom(context)
        examples = found.example_list_with_context.examples
    if "examples" not in document:
        raise InputError(
            f"JSON Value: {shown(document)} When method is classify or regress, key 'examples' "
            "is expected and was not found"
        )
    given = document["examples"]
    if type(given) is not list:
        raise InputError(
            f"JSON Value: {shown(document)} Expecting 'examples' value to be a list/array"
        )
    if not given:
        raise InputError(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    examples.extend(map(_example, given))
    return found


def _example(given: Any) -> tf.train.Example:
    if type(given) is not dict:
        raise InputError(f"Example must be JSON object but got {shown(given)}")
    example = tf.train.Example()
    for name, content in given.items():
        feature = _feature(name, content if type(content) is list else [content])
        try:
            example.features.feature[name].CopyFrom(feature)
        except ValueError as error:
            raise InputError(f"Feature: {shown(name)} has a name that is not UTF-8") from error
    return example


def _feature(name: str, values: list[Any]) -> tf.train.Feature:
    feature = tf.train.Feature()
    for value in values:
        kind, stored = _stored(name, value)
        if (feature.WhichOneof("kind") or kind) != kind:
            raise InputError(
                f"Unexpected element type in feature: {name} expecting type: "
                f"{feature.WhichOneof('kind').removesuffix('_list')}"
            )
        getattr(feature, kind).value.append(stored)
    return feature


def _stored(name: str, value: Any) -> tuple[str, Any]:
    """The list that a value goes into, and as what."""
    if type(value) is str or is_base64(value):
        try:
            return "bytes_list", decoded(value)
        except ValueError as error:
            raise InputError(
                f"Feature: {name} has an element that can't be read: {error}"
            ) from error
    if type(value) is bool:
        return "int64_list", int(value)
    if type(value) is int and value in _INT64:
        return "int64_list", value
    if type(value) is int and 0 <= value <= _LARGEST_UINT64:
        raise InputError(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    if type(value) in (int, float):
        return "float_list", float(value)
    raise InputError(f"Feature: {name} has element with unexpected JSON type: {shown(value)}")
