"""A log in JSON lines: TensorFlow Serving's request over REST, and its answer, a line each."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.formats.json_lines import body, instances_of, numbered_values, row_of
from tfnorm.examples.table import Inputs, as_tensor, stacked
from tfnorm.replay.log.call import Call, ModelSpec, Passed

ACCEPTED = '{"request": {"instances": [...]}, "response": {"predictions": [...]}}, or "inputs" and "outputs"'
SPEC = "a name, a version (a whole number) and a signature_name"
_ANSWERS = ("predictions", "outputs")
_URL = re.compile(r"/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?")


class JsonLog:
    """The calls of a file of JSON lines.

    A line may have a `model_spec` (name, version, signature_name) or the `url` that was asked, an `id`, and
    labels; a request and a response may be text, as proxies log them.

    Args:
        path: the file.
        inputs: what the model takes; None where it doesn't say.
        labels: the name that labels go by.
    """

    batches_known = scores_known = True

    def __init__(self, path: Path, inputs: Inputs | None, labels: str):
        self.name = str(path)
        self._path = path
        self._inputs = inputs
        self._labels = None if labels in (inputs or ()) else labels

    def entries(self) -> Iterator[tuple[int, object]]:
        try:
            yield from numbered_values(self._path)
        except (InputError, ValueError, OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self.name}: {error}") from error

    def call(self, number: int, entry: object) -> Call | Passed:
        try:
            if not isinstance(entry, dict) or not {"request", "response"} <= entry.keys():
                raise InputError(f"line {number} is {str(entry)[:40]!r}; accepted: {ACCEPTED}")
            request, response = (body(entry[name]) for name in ("request", "response"))
            if isinstance(response, dict) and "error" in response:
                return Passed(number, "an error in the place of an answer")
            if not response:
                return Passed(number, "a request without an answer")
            instances = instances_of(request, self._inputs, number, frozenset())
            rows = [row_of(instance, self._inputs, number) for instance in instances]
            inputs = stacked(rows, self._inputs, [f"line {number}"] * len(rows))
            outputs = _answer(response)
            spec = _spec(entry, request)
            labels = None
            if self._labels is not None:
                given = entry.get(self._labels, inputs.pop(self._labels, None))
                labels = None if given is None else _labelled(given, self._labels)
        except (InputError, ValueError, TypeError) as error:
            where = "" if str(error).startswith("line ") else f"line {number}: "
            raise InputError(f"{self.name}: {where}{error}") from error
        return Call(
            number,
            inputs,
            outputs,
            spec=spec,
            labels=labels,
            key=None if "id" not in entry else str(entry["id"]),
            typed=False,
        )


def _answer(response: Any) -> dict[str, np.ndarray]:
    found = [name for name in _ANSWERS if isinstance(response, dict) and name in response]
    if not found:
        raise InputError(f"its response is {str(response)[:40]!r}; accepted: {ACCEPTED}")
    name = found[0]
    answer = response[name]
    if name != "outputs" and isinstance(answer, list) and answer and isinstance(answer[0], dict):
        columns = {key: [row[key] for row in answer] for key in answer[0]}
    elif isinstance(answer, dict):
        columns = answer
    else:
        columns = {name: answer}
    try:
        return {key: as_tensor(column, None) for key, column in columns.items()}
    except (ValueError, TypeError) as error:
        raise InputError(f"its answer is no tensor: {error}") from error


def _labelled(given: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(given, np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name!r} is {str(given)[:40]!r}; accepted: a number a row") from error


def _spec(line: Mapping[str, Any], request: Any) -> ModelSpec:
    given = line.get("model_spec") or {}
    if not isinstance(given, dict):
        raise InputError(f"model_spec is {given!r}; accepted: {SPEC}")
    asked = _URL.search(str(line.get("url", "")))
    version = given.get("version", asked["version"] if asked else None)
    if isinstance(version, dict):
        version = version.get("value")
    name = given.get("name", asked["name"] if asked else None)
    signature = given.get("signature_name") or (
        request.get("signature_name") if isinstance(request, dict) else None
    )
    number = None if version is None else str(version)
    if not (number is None or number.isdecimal()) or not all(
        isinstance(one, str | None) for one in (name, signature)
    ):
        raise InputError(
            f"model {name!r}, version {version!r}, signature {signature!r} answered; accepted: {SPEC}"
        )
    return ModelSpec(name, None if number is None else int(number), signature)
