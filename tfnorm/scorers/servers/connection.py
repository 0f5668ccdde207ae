"""How a server is reached, how often it is asked, and what it means that it does not answer."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tfnorm.errors import InputError

CONNECT_SECONDS = 10.0
SCORE_SECONDS = 120.0
FIRST_WAIT = 0.1
"""Seconds before the first retry; twice as long before each further one."""

# Of gRPC, of TensorFlow, and of tfnorm's server.
_TOO_LARGE = re.compile(r"message larger than max|\bOOM\b|fewer rows|has not the memory")

_T = TypeVar("_T")


class Unreachable(InputError):
    """A server that does not answer, or not in time: no verdict on the model."""


class Busy(Unreachable):
    """A server that may answer when it is asked again."""


class Nonsense(Unreachable):
    """A server whose answers make no sense, or come from another version: no verdict on the model."""


def late(name: str) -> Unreachable:
    """The error of a server that takes longer than it may."""
    return Unreachable(
        f"{name}: the server did not answer in time; is it another kind of server, or overloaded?"
    )


def absent(name: str, reason: object) -> Busy:
    """The error of an address where nothing answers."""
    return Busy(f"{name}: no server answers there ({reason}); start it, or correct the address")


def busy(name: str, reason: object) -> Busy:
    """The error of a server that turns requests away."""
    return Busy(
        f"{name}: the server turns requests away ({reason}); it may be loading or overloaded"
    )


def is_too_large(reason: str) -> bool:
    """Whether a server turns a request away because of its size."""
    return _TOO_LARGE.search(reason) is not None


def failed(name: str, reason: object) -> Unreachable:
    """The error of a server that fails, rather than refuse what it is given."""
    return Unreachable(f"{name}: the server failed on a request ({reason}); its log may say why")


def gone(name: str, reason: object) -> Unreachable:
    """The error of a version that was there when the scorer was made."""
    return Unreachable(
        f"{name}: the version that is scored is there no more ({reason}); "
        "let no other version roll out meanwhile"
    )


def check_version(name: str, expected: int, came: int) -> None:
    """Raise where an answer comes from another version than was asked for."""
    if came != expected:
        raise Nonsense(
            f"{name}: version {came} answered where version {expected} was asked for; "
            "let no other version roll out meanwhile"
        )


def check_outputs(name: str, outputs: Mapping[str, object], expected: Mapping[str, object]) -> None:
    """Raise unless an answer has each output of the signature, and no other."""
    for problem, names in (
        ("lacks", expected.keys() - outputs.keys()),
        ("has what is no output of the signature:", outputs.keys() - expected.keys()),
    ):
        if names:
            raise Nonsense(
                f"{name}: the answer {problem} {', '.join(map(repr, sorted(names)))}; "
                f"the signature gives {', '.join(map(repr, expected))}"
            )


@dataclass(frozen=True)
class Connection:
    """How to reach a server.

    Args:
        timeout: how many seconds a whole answer may take.
        retries: how often to ask again if a server is unavailable, as it may be restarting or loading. The
            waits double, from a tenth of a second.
        certificates: a PEM file of authorities to trust, for `grpcs://` and `https://`; None for
            those of the system.
        headers: a header that is sent with every request, such as an authorization; gRPC calls it metadata.
        max_message_bytes: how many bytes a request or an answer over gRPC may have; None for one GiB for an
            answer.

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
        """The answer to a request, which is sent again while the server is `Busy`."""
        for retry in range(self.retries):
            try:
                return request()
            except Busy:
                time.sleep(FIRST_WAIT * 2**retry)
        return request()

    def within(self, request: Callable[[], _T]) -> _T:
        """The answer to a request that checks the time only between the pieces that it gets.

        Raises:
            TimeoutError: it takes longer than `timeout`; it is left to itself.
        """
        answer: Future[_T] = Future()

        def run() -> None:
            try:
                answer.set_result(request())
            # Whatever it is, it is raised where it is waited for.
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=run, name="tfnorm-answer", daemon=True).start()
        if not wait([answer], self.timeout).done:
            raise TimeoutError
        return answer.result()
