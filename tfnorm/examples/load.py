"""Examples to verify with: read, and checked against what the scorer takes."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.files import ACCEPTED, read_file
from tfnorm.examples.records import records, takes_records
from tfnorm.examples.spread import spread
from tfnorm.examples.table import LABELS, Table
from tfnorm.scorers.inputs import check_names, described, dimensions, flattened
from tfnorm.scorers.scorer import Scorer

Examples = Mapping[str, Any] | list[Any] | tuple[Any, ...] | np.ndarray | str | Path
"""Arrays by input name, or in dicts or lists as the model takes them, one array for a model of one input, or
a file of examples."""


@dataclass(frozen=True)
class Loaded:
    """Examples as a scorer takes them.

    Attributes:
        rows: input name -> `[examples, ...]`, in the input's dtype.
        given: how many there were to choose from.
        labels: `[examples]`; None where they came without.
        requests: how many examples each logged request had; empty where they are no log.
        left_out: what of a log is not looked at -> why.
    """

    rows: dict[str, np.ndarray]
    given: int
    labels: np.ndarray | None
    requests: list[int]
    left_out: dict[str, str] = field(default_factory=dict)


def load_examples(examples: Examples | None, scorer: Scorer) -> dict[str, np.ndarray]:
    """All examples as the scorer takes them, as `load` has them."""
    return load(examples, scorer).rows


def load(
    examples: Examples | None,
    scorer: Scorer,
    limit: int | None = None,
    *,
    unread: Collection[str] = (),
) -> Loaded:
    """Examples as the scorer takes them.

    Args:
        examples: arrays by input name, or in dicts of dicts or lists as a Keras model takes them; one array
            for a scorer of one input; or a file: an `.npz` of arrays, JSON lines (TensorFlow Serving's
            `instances`), Parquet, CSV, or a TFRecord of tf.Example or of PredictionLog; None for those that
            an export keeps beside the model. What is called "labels" and is no input is taken for labels.
        scorer: what will score them.
        limit: how many to keep, evenly spread; None for all. A file is read in bounded memory.
        unread: what is left out where it is there: the inputs of another model.

    Returns:
        The examples, cast where that loses no more than digits: float64 to float32, int64 to an
        int32 that holds the values.

    Raises:
        InputError: they can't be read, don't fit the scorer, or are fewer than two.
    """
    if examples is None:
        examples = _beside(scorer)
    if isinstance(examples, str | Path):
        fed = frozenset(scorer.constants)
        source = str(examples)
        places, signature = scorer.places, scorer.signature
        table = read_file(Path(examples), scorer.inputs, limit, fed, places, signature)
    else:
        source, table = "examples", _given(examples, scorer, limit)
    # A file of arrays may call them by their paths.
    arrays = flattened(table.arrays, scorer.places, scorer.inputs or (), source)
    labels = None if LABELS in (scorer.inputs or ()) else arrays.pop(LABELS, None)
    for name in unread:
        arrays.pop(name, None)
    rows = fitted(arrays, scorer, source)
    check_count(source, rows)
    left_out = _left_out(table, source, scorer.name, limit)
    return Loaded(rows, table.given, labels, table.requests, left_out)


def _left_out(table: Table, source: str, name: str, limit: int | None) -> dict[str, str]:
    """What of a log is not looked at, and what would look at it."""
    found = {}
    for skip, count in table.skipped.items():
        found[f"{count:,} logged request{'' if count == 1 else 's'} {skip.which}"] = skip.why
    if (others := table.requests_given - len(table.requests)) and table.requests:
        found[f"{others:,} of {table.requests_given:,} logged requests"] = (
            f"whole requests are replayed, evenly spread, of up to {limit:,} examples in all; "
            "--limit raises that"
        )
    if table.answered:
        found[f"the answers to {table.answered:,} logged requests"] = (
            "whether they are what the model gives is not asked here, but by: "
            f"tfnorm replay {shlex.quote(source)} {shlex.quote(name)}"
        )
    return found


def fitted(arrays: Mapping[str, np.ndarray], scorer: Scorer, source: str) -> dict[str, np.ndarray]:
    """Examples without labels as the scorer takes them, cast where that loses no more than digits.

    Raises:
        InputError: they don't fit it.
    """
    given = {name: array for name, array in arrays.items() if name not in scorer.constants}
    if scorer.inputs is None:
        return {name: _as_bytes(array) for name, array in given.items()}
    inputs = {
        name: spec
        for name, spec in scorer.inputs.items()
        if name in given or name not in scorer.defaults
    }
    of_records = takes_records(inputs)
    if of_records is not None and given and of_records not in given:
        check_count(source, given)
        serialized = [record.SerializeToString() for record in records(given)]
        given = {of_records: np.array(serialized, object)}
    for name, spec in inputs.items():
        _check_has_rows(name, spec, name in given)
    check_names(given, inputs, source)
    return {name: _fitted(source, given[name], name, spec) for name, spec in inputs.items()}


def _given(
    examples: Mapping[str, Any] | list[Any] | tuple[Any, ...] | np.ndarray,
    scorer: Scorer,
    limit: int | None,
) -> Table:
    """What was given in memory."""
    if isinstance(examples, Mapping) or (isinstance(examples, list | tuple) and scorer.places):
        flat = flattened(examples, scorer.places, scorer.inputs or ())
        arrays = {name: np.asarray(array) for name, array in flat.items()}
    elif scorer.inputs is not None and len(scorer.inputs) == 1:
        arrays = {next(iter(scorer.inputs)): np.asarray(examples)}
    else:
        raise InputError(
            f"examples are given as {type(examples).__name__}; accepted: a dict of input name -> "
            f"array, or a file: {ACCEPTED}{_takes(scorer)}"
        )
    given = max((len(array) for array in arrays.values() if array.ndim), default=0)
    kept = {n: a[spread(len(a), limit)] if a.ndim else a for n, a in arrays.items()}
    return Table(kept, given)


def _beside(scorer: Scorer) -> Path:
    if scorer.kept_examples is not None:
        return scorer.kept_examples
    raise InputError(
        f"{scorer.name} comes with no examples; give an .npz file with an array for each input"
        f"{_takes(scorer)}, or have some drawn at random"
    )


def _fitted(source: str, array: np.ndarray, name: str, spec: tf.TensorSpec) -> np.ndarray:
    if not spec.shape[1:].is_compatible_with(array.shape[1:]) or array.ndim == 0:
        raise InputError(
            f"{source}: {name!r} has the shape {list(array.shape)}; "
            f"accepted: {dimensions(spec)}, the first being the examples"
        )
    if spec.dtype == tf.string and array.dtype.kind in "OSU":
        return _as_bytes(array)
    cast = _cast(array, spec.dtype)
    if cast is None:
        raise InputError(
            f"{source}: {name!r} has dtype {array.dtype}{_values(array)}; "
            f"accepted: {spec.dtype.name}, or what becomes {spec.dtype.name} unharmed"
        )
    return cast


def _check_has_rows(name: str, spec: tf.TensorSpec, given: bool) -> None:
    """Raise InputError for an input that takes no examples, or none of several batch sizes."""
    constant = f"give it the same in every batch: feed={{{name!r}: ...}}, --feed {name}=VALUE"
    if spec.shape.rank == 0:
        raise InputError(
            f"input {name!r} is a scalar: it has no place for a batch of examples; {constant}"
        )
    if spec.shape.rank is None and not given:
        raise InputError(f"there are no examples for input {name!r}; if it takes none, {constant}")
    if spec.shape.rank and spec.shape[0] is not None:
        raise InputError(
            f"input {name!r} has the fixed batch size {spec.shape[0]}, so that no other can be "
            f"tried; export the model with a free batch dimension or, if it has none, {constant}"
        )


def _cast(array: np.ndarray, dtype: tf.DType) -> np.ndarray | None:
    """The array in `dtype`, or None where its values would become others."""
    wanted = np.dtype(dtype.as_numpy_dtype)
    if array.dtype == wanted:
        return array
    kinds = {array.dtype.kind, wanted.kind}
    if kinds <= {"i", "u"}:
        cast = array.astype(wanted)
        return cast if (cast == array).all() else None
    if kinds <= {"f", "V"} and dtype.is_floating:
        with np.errstate(over="ignore"):
            cast = array.astype(wanted)
        return cast if (np.isfinite(cast) == np.isfinite(array)).all() else None
    return None


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """Text as UTF-8 bytes; anything but text as it is."""
    if array.dtype.kind not in "OSU":
        return array
    encoded = np.empty(array.size, dtype=object)
    encoded[:] = [item if isinstance(item, bytes) else str(item).encode() for item in array.flat]
    return encoded.reshape(array.shape)


def check_count(source: str, arrays: Mapping[str, np.ndarray]) -> None:
    if not arrays:
        raise InputError(f"{source} is empty; accepted: an array for each input")
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise InputError(f"{source}: the arrays have different numbers of examples: {found}")
    if min(counts.values()) < 2:
        raise InputError(
            f"{source}: {min(counts.values())} examples; accepted: 2 or more, a batch being several"
        )


def _takes(scorer: Scorer) -> str:
    if scorer.inputs is None:
        return ""
    return f"; {scorer.name} takes {described(scorer.inputs)}"


def _values(array: np.ndarray) -> str:
    return (
        f" and values {array.min()} to {array.max()}"
        if array.dtype.kind in "iuf" and array.size
        else ""
    )
