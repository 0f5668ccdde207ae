"""Whether arrays go by the names of the inputs, and what an input is where it is the same for all."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfnorm.differences import is_floating
from tfnorm.errors import InputError

_WORDS = {"True": True, "False": False}


def check_names(
    arrays: Mapping[str, np.ndarray], inputs: Mapping[str, tf.TensorSpec], source: str = "examples"
) -> None:
    """Raise InputError unless there is an array for each input, and no other."""
    for problem, names in (
        ("lack", inputs.keys() - arrays.keys()),
        ("have what is no input", arrays.keys() - inputs.keys()),
    ):
        if names:
            raise InputError(
                f"{source} {problem}: {', '.join(map(repr, sorted(names)))}; "
                f"accepted: {described(inputs)}"
            )


def constant(name: str, value: object, inputs: Mapping[str, tf.TensorSpec] | None) -> np.ndarray:
    """What an input, or each row of one that has a row for each example, is given: as the scorer takes it.

    Args:
        name: the input.
        value: a number, a boolean, a string, nested lists of them, or an array; text in the place of what
            is no string is read as JSON, or as Python's True and False.
        inputs: what the scorer takes; None where it doesn't say. It then gets text that is no JSON as
            bytes, and a float as float32.

    Raises:
        InputError: there is no such input, or it takes another type or shape.
    """
    if inputs is None:
        read = _read(value) if isinstance(value, str) else value
        guessed = np.asarray(read.encode() if isinstance(read, str) else read)
        single = type(read) in (float, list) and guessed.dtype == np.float64
        return guessed.astype(np.float32) if single else guessed
    if name not in inputs:
        raise InputError(f"feed gives {name!r}, which is no input; accepted: {described(inputs)}")
    spec = inputs[name]
    try:
        array = _array(value, spec)
    except (ValueError, TypeError, OverflowError):
        pass
    else:
        if array is not None and any(
            shape.is_compatible_with(array.shape) for shape in (spec.shape, spec.shape[1:])
        ):
            return array
    raise InputError(
        f"feed gives {name!r} the value {value!r}; "
        f"accepted: {spec.dtype.name} {dimensions(spec)}, a number, true, false or a list as in JSON"
    )


def described(inputs: Mapping[str, tf.TensorSpec]) -> str:
    """The inputs as an error shows them."""
    return ", ".join(f"{k}: {v.dtype.name} {dimensions(v)}" for k, v in inputs.items())


def dimensions(spec: tf.TensorSpec) -> str:
    """The shape as an error shows it."""
    return str(spec.shape.as_list()) if spec.shape.rank is not None else "of any shape"


def _array(value: object, spec: tf.TensorSpec) -> np.ndarray | None:
    """The value in the input's dtype; None where it would become another."""
    if spec.dtype == tf.string:
        listed = isinstance(value, str) and spec.shape.rank != 0 and value.startswith("[")
        text = np.array(_read(str(value)) if listed else value, object)
        bytes_ = [item.encode() if isinstance(item, str) else item for item in text.flat]
        if not all(isinstance(item, bytes) for item in bytes_):
            return None
        text.reshape(-1)[:] = bytes_
        return text
    given = np.asarray(_read(value) if isinstance(value, str) else value)
    with np.errstate(over="ignore"):
        array = given.astype(spec.dtype.as_numpy_dtype)
    if is_floating(array):
        kept = given.dtype.kind in "iufV" and np.isfinite(array) == np.isfinite(given)
        return array if np.all(kept) else None
    return array if np.array_equal(array, given) else None


def _read(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
