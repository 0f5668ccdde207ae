"""The JSON that answers a request, written piece by piece."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.classification_pb2 import ClassificationResult
from tensorflow_serving.apis.regression_pb2 import RegressionResult

from tfnorm.errors import InputError
from tfnorm.protocol.json_values import dtype_name
from tfnorm.server.bounds import too_large
from tfnorm.server.rest.tensors import CARRIED

# Values that are Python objects at a time: they take about ten times what the array takes.
_CHUNK = 1 << 14
# A value and a comma.
_LEAST_CHARACTERS = 2
_SHOWN = 256


def answer(outputs: Mapping[str, np.ndarray], *, rows: bool, max_bytes: int) -> bytes:
    """The JSON that answers a predict request, in the request's own format.

    A float is written with the fewest digits that read back as the same float.

    Args:
        outputs: of which there is at least one.
        rows: whether an answer has its examples one by one.
        max_bytes: the longest accepted.

    Raises:
        InputError: JSON can't carry these outputs.
        tf.errors.ResourceExhaustedError: the answer is longer.
    """
    for name, array in outputs.items():
        _check_dtype(name, array)
    least = _LEAST_CHARACTERS * sum(array.size for array in outputs.values())
    if least > max_bytes:
        raise too_large(f"the answer has {least:,} characters or more", max_bytes)
    pieces = _predictions(outputs) if rows else _columns(outputs)
    return _joined(pieces, max_bytes)


def classifications(result: ClassificationResult, max_bytes: int) -> bytes:
    """The JSON that answers a classify request: for each example, its labels with their scores."""
    return _results(
        (
            [[one.label, _shortest(one.score)] for one in example.classes]
            for example in result.classifications
        ),
        max_bytes,
    )


def regressions(result: RegressionResult, max_bytes: int) -> bytes:
    """The JSON that answers a regress request: a number for each example."""
    return _results((_shortest(one.value) for one in result.regressions), max_bytes)


def _results(results: Iterable[Any], max_bytes: int) -> bytes:
    def pieces() -> Iterator[str]:
        yield '{"results": ['
        for index, result in enumerate(results):
            yield (", " if index else "") + json.dumps(result)
        yield "]}"

    return _joined(pieces(), max_bytes)


def _shortest(value: float) -> float:
    """A float32 with its own digits."""
    return float(str(np.float32(value)))


def _joined(pieces: Iterator[str], max_bytes: int) -> bytes:
    found = []
    size = 0
    for piece in pieces:
        encoded = piece.encode()
        size += len(encoded)
        if size > max_bytes:
            raise too_large(f"the answer has over {max_bytes:,} bytes as JSON", max_bytes)
        found.append(encoded)
    return b"".join(found)


def _predictions(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    sizes = {array.shape[:1] for array in outputs.values()}
    if () in sizes or len(sizes) > 1:
        shapes = ", ".join(f"{name!r} {list(array.shape)}" for name, array in outputs.items())
        raise InputError(
            f"outputs of shapes {shapes} have no batch size in common, so there are no rows to "
            "answer with; send 'inputs' rather than 'instances'"
        )
    ((rows,),) = sizes
    widest = sum(math.prod(array.shape[1:]) for array in outputs.values())
    step = max(1, _CHUNK // max(1, widest))
    yield '{"predictions": ['
    for start in range(0, rows, step):
        if start:
            yield ", "
        chunk = {name: array[start : start + step] for name, array in outputs.items()}
        yield from _rows(chunk) if step > 1 else _row(chunk)
    yield "]}"


def _rows(chunk: Mapping[str, np.ndarray]) -> Iterator[str]:
    columns = {name: _values(name, array) for name, array in chunk.items()}
    if len(columns) == 1:
        (rows,) = columns.values()
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    yield json.dumps(rows)[1:-1]


def _row(chunk: Mapping[str, np.ndarray]) -> Iterator[str]:
    """One row, which may be large."""
    yield from _named({name: array[0] for name, array in chunk.items()})


def _columns(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    yield '{"outputs": '
    yield from _named(outputs)
    yield "}"


def _named(arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """The array itself where there is but one."""
    if len(arrays) == 1:
        ((name, array),) = arrays.items()
        yield from _nested(name, array)
        return
    for index, (name, array) in enumerate(arrays.items()):
        yield (", " if index else "{") + json.dumps(name) + ": "
        yield from _nested(name, array)
    yield "}"


def _nested(name: str, array: np.ndarray) -> Iterator[str]:
    array = np.asarray(array)
    if array.size <= _CHUNK or not array.ndim:
        yield json.dumps(_values(name, array))
        return
    step = max(1, _CHUNK // math.prod(array.shape[1:]))
    yield "["
    for start in range(0, len(array), step):
        if start:
            yield ", "
        if step > 1:
            yield json.dumps(_values(name, array[start : start + step]))[1:-1]
        else:
            yield from _nested(name, array[start])
    yield "]"


def _values(name: str, array: np.ndarray) -> Any:
    """`array` as nested lists of what JSON has."""
    if array.dtype == object:
        texts = [_text(name, value) for value in array.ravel()]
        return np.array(texts, object).reshape(array.shape).tolist()
    if array.dtype == np.float32:
        return array.astype(str).astype(np.float64).tolist()
    return array.tolist()


def _check_dtype(name: str, array: np.ndarray) -> None:
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    if dtype not in CARRIED:
        raise InputError(
            f"Failed to write JSON value for tensor type: {dtype_name(dtype)}, of output {name!r}, "
            "as TensorFlow Serving would; use gRPC"
        )


def _text(name: str, value: bytes) -> str | dict[str, str]:
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"output {name!r} has {value[:_SHOWN]!r}, which is not UTF-8; an output that holds any "
            "bytes needs a name that ends with _bytes, and is then sent in base64"
        ) from error
