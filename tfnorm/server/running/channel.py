"""Messages between the server and a model's process."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from tfnorm.server.running.messages import Message, packed, unpacked

_SIZE = struct.Struct("<Q")
TAKEN, NOT_TAKEN = b"\1", b"\0"
"""What a model's process says to a connection that it is given."""

# What is sent in one piece.
_SMALL_BYTES = 2**16
# What is passed over is read into it, by all threads, and looked at by none.
_WASTE = memoryview(bytearray(_SMALL_BYTES))


class Channel:
    """One end of a connection that carries messages, one after the other.

    Arrays of numbers go as they lie in memory.

    Args:
        connection: a stream, which the channel closes.
    """

    def __init__(self, connection: socket.socket):
        self._connection = connection
        # A small message is read in one go.
        self._incoming = connection.makefile("rb")

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            OSError: the other end is closed.
        """
        blocks = packed(message)
        sizes = [*map(len, blocks)]
        pieces = [b"".join(map(_SIZE.pack, (len(blocks), *sizes))), *blocks]
        if sum(sizes) <= _SMALL_BYTES:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self._connection.sendall(piece)

    def receive(self) -> Message:
        """The next message.

        Raises:
            EOFError: the other end is closed.
            OSError: it is closed while it had something to read.
            MemoryError: there is no memory for it. It is passed over, or the channel is closed.
        """
        try:
            (count,) = _SIZE.unpack(self._filled(bytearray(_SIZE.size)))
            listed = self._filled(bytearray(count * _SIZE.size))
            sizes = [size for (size,) in _SIZE.iter_unpack(listed)]
            blocks = _blocks(sizes)
            if blocks:
                for block in blocks:
                    self._filled(block)
            else:
                self._pass_over(sum(sizes))
        except MemoryError:
            # A client has written what is left of this message: it must not be taken for the next one.
            self.close()
            raise
        if not blocks:
            raise MemoryError
        return unpacked(blocks)

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
