"""The messages of requests, which clients may send slowly or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import grpc

from tfnorm.server.budget import MOST_SECONDS

THREADS = 64
"""How many messages are received at a time, and answered or waiting to be."""

_LOOK_SECONDS = 0.5
# What a client has where clients that stall leave no thread for others.
_CROWDED_SECONDS = 5.0


class Receiving:
    """Cancels requests that clients take a minute to send, or seconds where they crowd out others."""

    def __init__(self) -> None:
        self._begun: dict[grpc.ServicerContext, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tfnorm-receiving", daemon=True)

    def __enter__(self) -> Receiving:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
        self._thread.join()

    def message(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """The message of a request, an empty one where there is none.

        Raises:
            grpc.RpcError: the request is cancelled, by its client or as it takes too long.
        """
        with self._lock:
            self._begun[context] = time.monotonic()
        try:
            return next(requests, b"")
        finally:
            with self._lock:
                del self._begun[context]

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            now = time.monotonic()
            with self._lock:
                most = MOST_SECONDS if len(self._begun) < THREADS else _CROWDED_SECONDS
                late = [context for context, begun in self._begun.items() if now - begun > most]
            for context in late:
                context.cancel()
