"""What reports are as JSON, which has no NaN and no keys but strings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tfnorm.errors import InputError


class _Documented(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


class Document:
    """A report that is JSON by its `to_dict`."""

    def to_json(self: _Documented, indent: int | None = 2) -> str:
        """All of it as standard JSON; a number that isn't finite is null.

        Args:
            indent: spaces a level; None for one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)


def plain(value: Any) -> Any:
    """Dicts, lists and plain values; a number that isn't finite is None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def infinite_if_none(value: float | None) -> float:
    """The number that `plain` was given, where it can only have been infinite."""
    return math.inf if value is None else value


@contextmanager
def reading(report: type) -> Iterator[None]:
    """What is wrong with a document that should be this report is one clear error."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"the document is no {report.__name__} ({type(error).__name__}: {error}); accepted: what to_dict "
            "or --json gave, of this release or an earlier one"
        ) from error
