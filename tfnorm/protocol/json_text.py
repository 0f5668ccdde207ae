"""JSON as it came: what it takes once it is parsed, and the numbers that a double can't hold."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from tfnorm.errors import InputError

# What Python takes for each, measured.
_LIST_BYTES = 64
_OBJECT_BYTES = 200
_KEY_BYTES = 140
_VALUE_BYTES = 40
_QUOTE_BYTES = 25
_WIDEST_CHARACTER = 4
# Where a number may be too large for a double; it looks at each digit once.
_LONG_NUMBER = re.compile(r"[eE]\+?0*\d{3}|(?<!\d)\d{309}")


def check_parsed_size(text: bytes | bytearray, most: int) -> int:
    """About how many bytes a document takes in memory, by an estimate that is on the safe side.

    Args:
        text: the document.
        most: the bytes that it may take.

    Raises:
        InputError: it takes more.
    """
    width = 1 if text.isascii() else _WIDEST_CHARACTER
    size = (
        2 * len(text) * width
        + text.count(b"[") * _LIST_BYTES
        + text.count(b"{") * _OBJECT_BYTES
        + text.count(b":") * _KEY_BYTES
        + text.count(b",") * _VALUE_BYTES
        + text.count(b'"') * _QUOTE_BYTES
    )
    if size > most:
        raise InputError(
            f"the document takes about {size:,} bytes once it is parsed; "
            f"accepted: up to {most:,}. Send fewer rows in a request, or use gRPC"
        )
    return size


def number_hooks(text: str) -> dict[str, Any]:
    """What a JSON decoder needs to refuse numbers that no double can hold, with a ValueError."""
    if not _LONG_NUMBER.search(text):
        return {}
    return {"parse_float": _finite(float), "parse_int": _finite(int)}


def _finite(convert: Callable[[str], float]) -> Callable[[str], float]:
    def read(digits: str) -> float:
        if math.isinf(float(digits)):
            raise ValueError("Number too big to be stored in double.")
        number: float = convert(digits)
        return number

    return read
