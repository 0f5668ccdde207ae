"""The JSON document of a request, read as RapidJSON does for TensorFlow Serving."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tfnorm.errors import InputError
from tfnorm.protocol.json_text import number_hooks
from tfnorm.protocol.json_values import shown

_CONTENT = re.compile(r"[^ \t\n\r]")
_MARK = "\ufeff"


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object that a body begins with; what follows it is not looked at.

    Of equal keys the first counts. A string may have bytes that are no UTF-8: they come as Python's
    surrogate escapes.

    Raises:
        InputError: the body is no JSON object.
    """
    text = body.decode(errors="surrogateescape")
    begins = _CONTENT.search(text, text.startswith(_MARK))
    if begins is None:
        raise InputError("JSON Parse error: The document is empty")
    decoder = json.JSONDecoder(object_pairs_hook=_first_of_equal_keys, **number_hooks(text))
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


def _first_of_equal_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else dict(reversed(pairs))
