"""The examples of a file, and rows put together to such a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError

LABELS = "labels"

Inputs = Mapping[str, tf.TensorSpec]
Row = dict[str, np.ndarray]


class Skip(NamedTuple):
    """Logged requests that are not looked at: which, and why."""

    which: str
    why: str


def of_another_signature(asked: str, signature: str) -> Skip:
    """Of requests that asked another signature than the one that is scored."""
    return Skip(
        f"of signature {asked!r}", f"{signature!r} is verified; --signature names another one"
    )


@dataclass(frozen=True)
class Table:
    """The examples of a file.

    Attributes:
        arrays: name -> `[examples, ...]`; `LABELS` too, where the file has them.
        given: how many examples the file has.
        requests: how many examples each of the kept requests had, where the file is a log of several each.
        requests_given: how many requests the log has.
        answered: how many of them have their answers beside them.
        skipped: which requests are none that can be replayed, and why -> how many.
    """

    arrays: dict[str, np.ndarray]
    given: int
    requests: list[int] = field(default_factory=list)
    requests_given: int = 0
    answered: int = 0
    skipped: Mapping[Skip, int] = field(default_factory=dict)


def check_some_left(seen: int, skipped: Mapping[Skip, int]) -> None:
    """Raise InputError where a log has requests, but all of them are skipped."""
    if not seen and skipped:
        reasons = "; ".join(
            f"{count:,} {skip.which}: {skip.why}" for skip, count in skipped.items()
        )
        raise InputError(f"none of its requests can be replayed ({reasons})")


def as_tensor(value: object, spec: tf.TensorSpec | None) -> np.ndarray:
    """A value of a row, perhaps of nested lists, as an array; text becomes bytes.

    Args:
        value: the value.
        spec: of the input; None where it isn't known.

    Raises:
        ValueError: it is null somewhere, or its lists differ in length.
        TypeError: it holds what has no place in a tensor.
    """
    encoded = _encoded(value)
    array = np.array(encoded)
    if array.dtype.kind == "S":
        # NumPy's own strings lose zero bytes at their ends.
        array = np.array(encoded, object)
    if not array.size and spec is not None:
        return array.astype(spec.dtype.as_numpy_dtype)
    return numbers(array, spec)


def numbers(array: np.ndarray, spec: tf.TensorSpec | None) -> np.ndarray:
    """Whole numbers as what is taken: floats, or their decimal digits where strings are.

    They are often written for floats (1 stands for 1.0), and ids that a schema hashes may be whole numbers in
    a log and strings in the model, which training reads the same.
    """
    if spec is None or array.dtype.kind not in "iu":
        return array
    if spec.dtype == tf.string:
        return array.astype("S").astype(object)
    return array.astype(np.float64) if spec.dtype.is_floating else array


def stacked(
    rows: Sequence[Row], inputs: Inputs | None, places: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The rows as arrays; shorter ones are padded with zeros where an input's length is free.

    Args:
        rows: the examples.
        inputs: what the scorer takes; None where it doesn't say.
        places: where each row stands in its file; empty for its number.

    Raises:
        InputError: there are none, or they are not alike.
    """
    if not rows:
        raise InputError("it holds no examples")
    places = places or [f"example {number}" for number in range(len(rows))]
    names = list(dict.fromkeys(name for row in rows for name in row))
    for place, row in zip(places, rows, strict=True):
        if missing := [name for name in names if name not in row]:
            raise InputError(f"{place} lacks {', '.join(map(repr, missing))}")
    return {name: _column([row[name] for row in rows], name, inputs, places) for name in names}


def _column(
    values: list[np.ndarray], name: str, inputs: Inputs | None, places: Sequence[str]
) -> np.ndarray:
    ranks = {value.ndim for value in values}
    if len(ranks) > 1:
        other = next(i for i, value in enumerate(values) if value.ndim != values[0].ndim)
        raise InputError(
            f"{name!r} has values of {' and '.join(map(str, sorted(ranks)))} axes, "
            f"as in {places[0]} and in {places[other]}"
        )
    longest: tuple[int, ...] = tuple(np.max([value.shape for value in values], axis=0).tolist())
    free = _free_axes((inputs or {}).get(name), len(longest))
    for axis, size in enumerate(longest):
        shorter = [i for i, value in enumerate(values) if value.shape[axis] != size]
        if axis not in free and shorter:
            raise InputError(
                f"{name!r} has values of different lengths, up to {size}, "
                f"but {values[shorter[0]].shape[axis]} in {places[shorter[0]]}"
            )
    dtype = np.result_type(*{value.dtype for value in values})
    column = np.full((len(values), *longest), b"" if dtype.kind == "O" else 0, dtype)
    for row, value in enumerate(values):
        place: tuple[int | slice, ...] = (row, *(slice(size) for size in value.shape))
        column[place] = value if value.ndim else value[()]
    return column


def _encoded(value: object) -> object:
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    if value is None:
        raise ValueError(
            "it has a null; accepted: values alone: what is missing is 0, or an empty string or list, as "
            "tfnorm train --nulls missing takes it"
        )
    if isinstance(value, dict):
        raise TypeError(f"an object with {', '.join(map(repr, value))}")
    return value.encode() if isinstance(value, str) else value


def _free_axes(spec: tf.TensorSpec | None, rank: int) -> set[int]:
    """The axes of an example in which its length may vary."""
    if spec is None or spec.shape.rank != rank + 1:
        return set()
    return {axis for axis, size in enumerate(spec.shape.as_list()[1:]) if size is None}
