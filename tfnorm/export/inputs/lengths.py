"""Lists of any length as lists of one length, in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.tracing.interface import Interface
from tfnorm.schema import Schema

OF_SCHEMA = "schema"
"""What stands for the lengths that a model's schema has."""

HistoryLength = int | str | None


@dataclass(frozen=True)
class _List:
    """An input that is a list.

    Attributes:
        length: how long it is made.
        keep: which elements are kept of more, `newest` (the last) or `oldest`.
        ends_with: the inputs whose padding tells where it ends: at the last element of any.
    """

    length: int
    keep: str
    ends_with: tuple[str, ...]


def with_lengths(called: Interface, history_length: HistoryLength) -> Interface:
    """A model whose lists are declared to have a fixed length, and are cut or padded to it in the graph.

    Args:
        called: the model.
        history_length: of all its lists, or "schema" for those that its schema has; None for none.

    Raises:
        InputError: it is neither, the model has no lists, or a list has no length in the schema.
    """
    if history_length is None:
        return called
    lists = _lists(called, history_length)
    inputs = {
        name: tf.TensorSpec([None, lists[name].length, *spec.shape[2:]], spec.dtype, name)
        if name in lists
        else spec
        for name, spec in called.inputs.items()
    }
    return replace(called, declared=inputs, prepared=_fitting(called.inputs, lists))


def fitted_lists(called: Interface, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Examples with lists of the lengths that are declared.

    Raises:
        InputError: a list that is no history, such as one of tags, would be cut.
    """
    for name, length in _uncut(called).items():
        there = arrays[name] != (b"" if arrays[name].dtype.kind in "OS" else 0)
        longest = int(np.max(np.where(there, np.arange(1, there.shape[1] + 1), 0), initial=0))
        if longest > length:
            raise InputError(
                f"history_length is {length}, and the list {name!r}, which is no history, has up to "
                f"{longest} elements in the examples; accepted: {longest} or more, as none may be left out"
            )
    features = called.prepared({name: tf.constant(array) for name, array in arrays.items()})
    return {name: features[name].numpy() for name in arrays}


def _lists(called: Interface, history_length: int | str) -> dict[str, _List]:
    free = {name: spec for name, spec in called.inputs.items() if _is_free(spec)}
    schema = getattr(called.model, "schema", None)
    columns = schema.columns if isinstance(schema, Schema) else {}
    whole = type(history_length) is int and history_length >= 1
    if not (whole or (columns and history_length == OF_SCHEMA)):
        of_schema = ", or 'schema' for a model made from one" * (history_length == OF_SCHEMA)
        raise InputError(
            f"history_length is {history_length!r}; accepted: a whole number from 1{of_schema}"
        )
    if not free:
        raise InputError(
            f"history_length is {history_length!r}, and no input of {called.model.name!r} has a free axis; "
            "accepted: a model with one"
        )
    for name, spec in free.items():
        if spec.shape.rank < 2 or None in spec.shape[2:]:
            raise InputError(
                f"history_length is {history_length!r}, and input {name!r} has the shape "
                f"{spec.shape.as_list()}; accepted: a free axis next to the batch's, and no other"
            )
    ids = tuple(name for name, spec in free.items() if not spec.dtype.is_floating)
    found = {}
    for name, spec in free.items():
        column = columns.get(name)
        if column is None:
            # Zeros at the end of numbers may be values.
            ends_with = ids if spec.dtype.is_floating and ids else (name,)
            found[name] = _List(int(history_length), "newest", ends_with)
            continue
        length = column.limit if history_length == OF_SCHEMA else int(history_length)
        if length is None:
            raise InputError(
                f"history_length is 'schema', and the schema has no length for the list {name!r}; "
                "accepted: a number"
            )
        found[name] = _List(length, column.keep, (column.partner or name,))
    return found


def _uncut(called: Interface) -> dict[str, int]:
    """Name -> declared length, of the lists of a schema that are no part of a history."""
    schema = getattr(called.model, "schema", None)
    if not isinstance(schema, Schema):
        return {}
    of_histories = {name for history in schema.histories for name in history.columns}
    return {
        name: spec.shape[1]
        for name, spec in called.declared.items()
        if name in schema.columns and name not in of_histories and _is_free(called.inputs[name])
    }


def _is_free(spec: tf.TensorSpec) -> bool:
    return spec.shape.rank is None or None in spec.shape[1:]


def _fitting(
    inputs: Mapping[str, tf.TensorSpec], lists: Mapping[str, _List]
) -> Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """What gives each list its length."""

    def fit(features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        ends = {name: _end(features[name]) for name in features if name in lists}
        return {
            name: _fitted(features[name], lists[name], [ends[n] for n in lists[name].ends_with])
            if name in lists
            else features[name]
            for name in features
        }

    return fit


def _end(values: tf.Tensor) -> tf.Tensor:
    """How many elements each list has before its padding, `[N]`."""
    nothing = "" if values.dtype == tf.string else tf.zeros([], values.dtype)
    there = tf.not_equal(values, nothing)
    there = tf.reduce_any(there, axis=list(range(2, values.shape.rank)))
    return tf.reduce_max(tf.where(there, tf.range(1, tf.shape(there)[1] + 1), 0), axis=1)


def _fitted(values: tf.Tensor, wanted: _List, ends: list[tf.Tensor]) -> tf.Tensor:
    length = wanted.length
    start = tf.zeros_like(ends[0])
    if wanted.keep == "newest":
        # The end of lists of no elements is the least integer, of which nothing may be taken.
        start = tf.maximum(tf.reduce_max(tf.stack(ends), axis=0), length) - length
    padded = tf.pad(values, [[0, 0], [0, length], *[[0, 0]] * (values.shape.rank - 2)])
    places = start[:, tf.newaxis] + tf.range(length)
    fitted = tf.gather(padded, places, batch_dims=1)
    return tf.ensure_shape(fitted, [None, length, *values.shape[2:]])
