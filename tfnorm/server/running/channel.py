"""Messages between the server and a model's process."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_SIZE = struct.Struct("<Q")
# What is sent in one piece.
_SMALL_BYTES = 2**16


class Call(NamedTuple):
    """A call of a model."""

    feeds: Mapping[str, np.ndarray]
    signature: str
    outputs: Sequence[str] | None
    max_bytes: int


class Loaded(NamedTuple):
    """What a process says once it has its model."""

    signature_defs: dict[str, bytes]
    resident: int


class Raised(NamedTuple):
    """An error on its way to the server."""

    error: Exception
    cause: BaseException | None = None


class OutOfMemory(Exception):
    """A call needs more memory than the process may take."""


class Channel:
    """One end of a connection that carries Python objects, one after the other.

    Arrays of numbers go as they lie in memory. What is received is unpickled: both ends are this server's.

    Args:
        connection: a stream, which the channel closes.
    """

    def __init__(self, connection: socket.socket):
        self._connection = connection
        # A small message is read in one go.
        self._incoming = connection.makefile("rb")

    def send(self, message: object) -> None:
        """Send an object.

        Raises:
            OSError: the other end is closed.
        """
        buffers: list[pickle.PickleBuffer] = []
        text = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(text), *(buffer.raw() for buffer in buffers)]
        sizes = [part.nbytes for part in parts]
        pieces = [memoryview(b"".join(map(_SIZE.pack, (len(parts), *sizes)))), *parts]
        if sum(sizes) <= _SMALL_BYTES:
            pieces = [memoryview(b"".join(pieces))]
        for piece in pieces:
            self._connection.sendall(piece)

    def receive(self) -> Any:
        """The next object.

        Raises:
            EOFError: the other end is closed.
            OSError: it is closed while it had something to read.
        """
        (count,) = _SIZE.unpack(self._read(_SIZE.size))
        sizes = [size for (size,) in _SIZE.iter_unpack(self._read(count * _SIZE.size))]
        text, *buffers = map(self._read, sizes)
        return pickle.loads(text, buffers=buffers)

    def close(self) -> None:
        """Close the connection."""
        self._incoming.close()
        self._connection.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        if self._incoming.readinto(data) < size:
            raise EOFError("the other end is closed")
        return data
