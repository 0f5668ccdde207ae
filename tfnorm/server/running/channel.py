"""Messages between the server and a model's process."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_SIZE = struct.Struct("<Q")
TAKEN, NOT_TAKEN = b"\1", b"\0"
"""What a model's process says to a connection that it is given."""

# What is sent in one piece.
_SMALL_BYTES = 2**16
# What is passed over is read into it, by all threads, and looked at by none.
_WASTE = memoryview(bytearray(_SMALL_BYTES))


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
            MemoryError: there is no memory for it. It is passed over, or the channel is closed.
        """
        try:
            (count,) = _SIZE.unpack(self._filled(bytearray(_SIZE.size)))
            listed = self._filled(bytearray(count * _SIZE.size))
            sizes = [size for (size,) in _SIZE.iter_unpack(listed)]
            parts = _blocks(sizes)
            if parts:
                text, *buffers = map(self._filled, parts)
            else:
                self._pass_over(sum(sizes))
        except MemoryError:
            # A client has written what is left of this message: it must not be taken for the next one.
            self.close()
            raise
        if not parts:
            raise MemoryError
        return pickle.loads(text, buffers=buffers)

    def close(self) -> None:
        """Close the connection."""
        self._incoming.close()
        self._connection.close()

    def _filled(self, block: bytearray) -> bytearray:
        if self._incoming.readinto(block) < len(block):
            raise _closed()
        return block

    def _pass_over(self, size: int) -> None:
        while size:
            read = self._incoming.readinto(_WASTE[:size])
            if not read:
                raise _closed()
            size -= read


def _blocks(sizes: Sequence[int]) -> list[bytearray]:
    """Room for all of them, or none."""
    try:
        return [bytearray(size) for size in sizes]
    except MemoryError:
        return []


def _closed() -> EOFError:
    return EOFError("the other end is closed")
