"""Whether the client of the request that a thread works on still waits for its answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import tensorflow as tf

LOOK_SECONDS = 0.2
"""How often one looks who has to wait for other requests."""

_NEVER = threading.Event()
_gone: ContextVar[threading.Event] = ContextVar("gone", default=_NEVER)


@contextlib.contextmanager
def until(gone: threading.Event) -> Iterator[None]:
    """Have this thread work for a client until it is gone."""
    token = _gone.set(gone)
    try:
        yield
    finally:
        _gone.reset(token)


def check() -> None:
    """Raise where the client that this thread works for is gone.

    Raises:
        tf.errors.CancelledError: it is.
    """
    if _gone.get().is_set():
        raise tf.errors.CancelledError(None, None, "the client has given this request up")
