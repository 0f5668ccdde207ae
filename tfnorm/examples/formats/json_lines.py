"""Examples in lines of JSON: an instance or a request of TensorFlow Serving's each."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, cast

import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.spread import Requests, parts
from tfnorm.examples.table import (
    Inputs,
    Row,
    Skip,
    Table,
    as_tensor,
    check_some_left,
    of_another_signature,
    stacked,
)
from tfnorm.scorers.inputs import flattened
from tfnorm.session import DEFAULT_SIGNATURE

SUFFIXES = (".json", ".jsonl", ".ndjson")


def begins_json(start: bytes) -> bool:
    """Whether a file that begins so is JSON; the length of a TFRecord's first record may look like it."""
    return start[:1] in (b"{", b"[") and b"\0" not in start


def read_json(
    path: Path,
    inputs: Inputs | None,
    limit: int | None,
    fed: frozenset[str] = frozenset(),
    places: Mapping[str, str] = MappingProxyType({}),
    signature: str | None = None,
) -> Table:
    """The rows that are kept of the instances.

    Args:
        path: the file.
        inputs: what the scorer takes; None where it doesn't say.
        limit: how many examples to keep, evenly spread; None for all.
        fed: the inputs that are the same in every batch: a request's columns may have them as well.
        places: where inputs stand that are in objects of objects: path -> name.
        signature: that is scored; requests that asked another one are skipped, if any asked this one.

    Raises:
        InputError: a line is no instance and no request, or does not fit, or all requests are skipped.
    """
    requests: Requests[tuple[int, object]] = Requests(limit)
    skipped: Counter[Skip] = Counter()
    longest = answered = 0
    for number, line in _lines(path, inputs, signature):
        if isinstance(line, Skip):
            skipped[line] += 1
            continue
        request = instances_of(line, inputs, number, fed, places)
        requests.add([(number, instance) for instance in request])
        longest = max(longest, len(request))
        answered += _has_answer(line, inputs)
    check_some_left(requests.seen, skipped)
    kept = requests.kept()
    instances = list(chain.from_iterable(kept))
    sizes = list(map(len, kept)) if longest > 1 else []
    table = _table(instances, inputs, places)
    return Table(table, requests.rows_seen, sizes, requests.seen, answered, skipped)


def json_blocks(
    path: Path,
    inputs: Inputs | None,
    size: int,
    fed: frozenset[str] = frozenset(),
    places: Mapping[str, str] = MappingProxyType({}),
    signature: str | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """The instances, `size` at a time; arguments and errors are those of `read_json`."""
    instances = (
        (number, instance)
        for number, line in _lines(path, inputs, signature)
        if not isinstance(line, Skip)
        for instance in instances_of(line, inputs, number, fed, places)
    )
    for part in parts(instances, size):
        yield _table(part, inputs, places)


def _table(
    instances: Sequence[tuple[int, object]], inputs: Inputs | None, places: Mapping[str, str]
) -> dict[str, np.ndarray]:
    rows = [row_of(instance, inputs, number, places) for number, instance in instances]
    return stacked(rows, inputs, [f"line {number}" for number, _ in instances])


def opened(path: Path) -> BinaryIO:
    """The file, unpacked where gzip has packed it."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(path)) if packed else path.open("rb")


def _lines(
    path: Path, inputs: Inputs | None, signature: str | None
) -> Iterator[tuple[int, object]]:
    """Each line's number and value, or why a logged request is skipped."""
    values = (line for _, line in numbered_values(path))
    if signature is not None and all(_asked(line, inputs) != signature for line in values):
        # All are taken for what is scored.
        signature = None
    for number, line in numbered_values(path):
        asked = _asked(line, inputs)
        if _is_refused(line, inputs):
            yield number, Skip("that the server refused", "what it refuses is no example")
        elif signature is not None and asked is not None and asked != signature:
            yield number, of_another_signature(asked, signature)
        else:
            yield number, line


def _asked(line: object, inputs: Inputs | None) -> str | None:
    """The signature that a line's request asked; None of what is no request."""
    logged = line if isinstance(line, dict) and _has_answer(line, inputs) else {}
    request = body(logged["request"]) if logged else line
    if not isinstance(request, dict) or not {"instances", "inputs"} & request.keys():
        return None
    spec = logged.get("model_spec")
    named = spec.get("signature_name") if isinstance(spec, dict) else None
    return str(named or request.get("signature_name") or DEFAULT_SIGNATURE)


def _is_refused(line: object, inputs: Inputs | None) -> bool:
    """Whether an error stands in the place of a logged request's answer."""
    if not (isinstance(line, dict) and _has_answer(line, inputs)):
        return False
    answer = body(line["response"])
    return isinstance(answer, dict) and "error" in answer


def body(value: object) -> Any:
    """A logged request or response, which may be text."""
    return json.loads(value) if isinstance(value, str) else value


def numbered_values(path: Path) -> Iterator[tuple[int, object]]:
    """Each line's number and value; a file that is one value of several lines is one.

    Raises:
        InputError: a line is no JSON.
        ValueError: the file is none at all.
    """
    with io.TextIOWrapper(opened(path), encoding="utf-8") as file:
        first = file.readline()
        if not first:
            # Engines write such a file for a part that has no rows.
            return
        try:
            yield 1, _value(first, 1)
        except json.JSONDecodeError:
            yield 1, _value(first + file.read(), 1)
            return
        for number, line in enumerate(file, start=2):
            if line.strip():
                try:
                    yield number, _value(line, number)
                except json.JSONDecodeError as error:
                    raise InputError(f"line {number} is no JSON: {error}") from error


def _value(text: str, line: int) -> object:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"line {line} is nested too deep for any tensor") from error


def instances_of(
    line: object,
    inputs: Inputs | None,
    number: int,
    fed: frozenset[str],
    places: Mapping[str, str] = MappingProxyType({}),
) -> list[object]:
    """The instances of a line: a request's, also where its answer stands beside it, or the line itself.

    Raises:
        InputError: it is a request, but not one of rows.
    """
    if isinstance(line, dict) and _has_answer(line, inputs):
        line = body(line["request"])
    if isinstance(line, list) and any(isinstance(i, dict) and i.keys() != {"b64"} for i in line):
        return line
    if isinstance(line, dict) and "instances" in line and "instances" not in (inputs or {}):
        return _listed(line["instances"], "instances", number)
    if isinstance(line, dict) and "inputs" in line and "inputs" not in (inputs or {}):
        columns = line["inputs"]
        if not isinstance(columns, dict):
            return _listed(columns, "inputs", number)
        columns = flattened(columns, places, inputs or (), f"line {number}", _is_bytes)
        listed = {
            name: _listed(column, name, number)
            for name, column in columns.items()
            if name not in fed
        }
        if len(set(map(len, listed.values()))) > 1:
            lengths = ", ".join(f"{name!r} {len(column)}" for name, column in listed.items())
            raise InputError(
                f"line {number}: the columns have different numbers of rows: {lengths}"
            )
        return [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]
    return [line]


def _has_answer(line: object, inputs: Inputs | None) -> bool:
    return (
        isinstance(line, dict)
        and {"request", "response"} <= line.keys()
        and "request" not in (inputs or {})
    )


def _listed(value: object, name: str, line: int) -> list[object]:
    if not isinstance(value, list):
        raise InputError(f"line {line}: {name!r} is {str(value)[:40]}; accepted: a list")
    return value


def row_of(
    instance: object,
    inputs: Inputs | None,
    line: int,
    places: Mapping[str, str] = MappingProxyType({}),
) -> Row:
    """An instance as the row that it is.

    Raises:
        InputError: it is no example of these inputs.
    """
    if not isinstance(instance, dict) or _is_bytes(instance):
        if inputs is None or len(inputs) != 1:
            raise InputError(
                f"line {line} has {str(instance)[:40]!r}; accepted: an object of input name -> value"
            )
        instance = {next(iter(inputs)): instance}
    row = {}
    flat = flattened(instance, places, inputs or (), f"line {line}", _is_bytes)
    for name, value in flat.items():
        try:
            row[name] = as_tensor(_decoded(value), (inputs or {}).get(name))
        except (ValueError, TypeError, binascii.Error) as error:
            raise InputError(f"line {line}: {name!r} is no tensor: {error}") from error
    return row


def _is_bytes(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"}


def _decoded(value: object) -> object:
    """The value with bytes in the place of `{"b64": ...}`."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict) and _is_bytes(value):
        return base64.b64decode(value["b64"], validate=True)
    return value
