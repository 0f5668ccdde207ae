"""Which model, version and method a path names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError

_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_ASK = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)",
    re.IGNORECASE | re.ASCII,
)
_DESCRIBE = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<method>metadata))?",
    re.IGNORECASE | re.ASCII,
)
_LARGEST_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Route:
    """What a request asks for.

    Attributes:
        method: classify, regress or predict of a POST; metadata or status of a GET.
        spec: of which model and version.
    """

    method: str
    spec: ModelSpec


def find(http_method: str, path: str) -> Route:
    """The route of a path, matched as it came and then percent-decoded.

    Args:
        http_method: GET or POST.
        path: the path as it came, with its query.

    Raises:
        InputError: there is none, or it names no model or too large a version.
    """
    pattern = {"POST": _ASK, "GET": _DESCRIBE}.get(http_method)
    match = pattern and pattern.fullmatch(path)
    if not match:
        raise InputError(f"Malformed request: {http_method} {path}")
    if match["name"] is None:
        raise InputError("Missing model name in request.")
    spec = ModelSpec(name=unquote(match["name"], errors="replace"))
    if match["version"] is not None:
        # Python refuses to convert very many digits.
        digits = match["version"].lstrip("0") or "0"
        if len(digits) > len(str(_LARGEST_VERSION)) or int(digits) > _LARGEST_VERSION:
            raise InputError(f"Failed to convert version: {match['version']} to numeric.")
        spec.version.value = int(digits)
    if match["label"] is not None:
        spec.version_label = unquote(match["label"], errors="replace")
    # Both patterns match in any case; the method then counts as it is written.
    method = match["method"]
    if http_method == "GET":
        return Route("metadata" if method == "metadata" else "status", spec)
    if method != method.lower():
        raise InputError(f"Malformed request: {http_method} {path}")
    return Route(method, spec)
