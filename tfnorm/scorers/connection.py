"""How a server is reached, how often it is asked, and what it means that it does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tfnorm.errors import InputError

CONNECT_SECONDS = 10.0
SCORE_SECONDS = 120.0
FIRST_WAIT = 0.1
"""Seconds before the first retry; twice as long before each further one."""

_T = TypeVar("_T")


class Unreachable(InputError):
    """A server that does not answer, or not in time: no verdict on the model."""


class Busy(Unreachable):
    """A server that may answer when it is asked again."""


def late(name: str) -> Unreachable:
    """The error of a server that takes longer than it may."""
    return Unreachable(
        f"{name}: the server did not answer in time; is it another kind of server, or overloaded?"
    )


def absent(name: str, reason: object) -> Busy:
    """The error of an address where nothing answers."""
    return Busy(f"{name}: no server answers there ({reason}); start it, or correct the address")


@dataclass(frozen=True)
class Connection:
    """How to reach a server.

    Args:
        timeout: seconds that an answer may take.
        retries: how often to ask again a server that is unavailable: it may be restarting, or
            loading. The waits double, from a tenth of a second.
        certificates: a PEM file of authorities to trust, for `grpcs://` and `https://`; None for
            those of the system.
        headers: sent with every request, such as an authorization; gRPC calls them metadata.
        max_message_bytes: the largest request or answer over gRPC; None for no limit.

    Raises:
        InputError: a value makes no sense, or there is no such file.

    Example:

        >>> Connection(timeout=5, headers={"authorization": "Bearer ..."}).retries
        5
    """

    timeout: float = SCORE_SECONDS
    retries: int = 5
    certificates: str | Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    max_message_bytes: int | None = None

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise InputError(f"timeout is {self.timeout!r}; accepted: seconds, more than 0")
        if self.retries < 0:
            raise InputError(f"retries is {self.retries!r}; accepted: 0 or more")
        if self.max_message_bytes is not None and self.max_message_bytes < 1:
            raise InputError(
                f"max_message_bytes is {self.max_message_bytes!r}; accepted: 1 or more"
            )
        if self.certificates is not None and not Path(self.certificates).is_file():
            raise InputError(f"{self.certificates} does not exist; give a PEM file of certificates")
        for name, value in self.headers.items():
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise InputError(f"header {name!r} is no name; accepted: letters, digits, - and _")
            if not value.isascii() or not value.isprintable():
                raise InputError(f"header {name!r} has a value that is not printable ASCII")

    def ask(self, request: Callable[[], _T]) -> _T:
        """The answer to a request; asked again while the server is `Busy`."""
        for retry in range(self.retries):
            try:
                return request()
            except Busy:
                time.sleep(FIRST_WAIT * 2**retry)
        return request()
