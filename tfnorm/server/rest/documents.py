"""The JSON document of a request, read as RapidJSON does for TensorFlow Serving."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from tfnorm.errors import InputError
from tfnorm.protocol.json_values import shown

# What Python takes for each, measured.
_LIST_BYTES = 64
_OBJECT_BYTES = 200
_KEY_BYTES = 140
_VALUE_BYTES = 40
_QUOTE_BYTES = 25
_WIDEST_CHARACTER = 4
_CONTENT = re.compile(r"[^ \t\n\r]")
_MARK = "\ufeff"
# Where a number may be too large for a double.
_LONG_NUMBER = re.compile(r"[eE]\+?0*\d{3}|\d{309}")


def parse(body: bytes, max_bytes: int) -> dict[str, Any]:
    """The JSON object that a body begins with; what follows it is not looked at.

    Of equal keys the first counts. A string may have bytes that are no UTF-8: they come as Python's
    surrogate escapes.

    Args:
        body: the body.
        max_bytes: what the document may take in memory, by an estimate that is on the safe side.

    Raises:
        InputError: the body is no JSON object, or takes more.
    """
    _check_size(body, max_bytes)
    text = body.decode(errors="surrogateescape")
    begins = _CONTENT.search(text, text.startswith(_MARK))
    if begins is None:
        raise InputError("JSON Parse error: The document is empty")
    hooks: dict[str, Any] = {}
    if _LONG_NUMBER.search(text):
        hooks = {"parse_float": _finite(float), "parse_int": _finite(int)}
    decoder = json.JSONDecoder(object_pairs_hook=_first_of_equal_keys, **hooks)
    try:
        document, _ = decoder.raw_decode(text, begins.start())
    except json.JSONDecodeError as error:
        raise InputError(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except RecursionError as error:
        raise InputError("JSON Parse error: it is nested too deep") from error
    except ValueError as error:
        raise InputError(f"JSON Parse error: {error}") from error
    if type(document) is not dict:
        raise InputError(f"JSON Value: {shown(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names; empty where it names none.

    Raises:
        InputError: it names one with something else than a string.
    """
    name = document.get("signature_name", "")
    if type(name) is not str:
        raise InputError(
            f"JSON Value: {shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def _check_size(body: bytes, max_bytes: int) -> None:
    width = 1 if body.isascii() else _WIDEST_CHARACTER
    size = (
        2 * len(body) * width
        + body.count(b"[") * _LIST_BYTES
        + body.count(b"{") * _OBJECT_BYTES
        + body.count(b":") * _KEY_BYTES
        + body.count(b",") * _VALUE_BYTES
        + body.count(b'"') * _QUOTE_BYTES
    )
    if size > max_bytes:
        raise InputError(
            f"the document takes about {size:,} bytes once it is parsed; "
            f"accepted: up to {max_bytes:,}. Send fewer rows in a request, or use gRPC"
        )


def _first_of_equal_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else dict(reversed(pairs))


def _finite(convert: Callable[[str], float]) -> Callable[[str], float]:
    def read(digits: str) -> float:
        if math.isinf(float(digits)):
            raise ValueError("Number too big to be stored in double.")
        number: float = convert(digits)
        return number

    return read
