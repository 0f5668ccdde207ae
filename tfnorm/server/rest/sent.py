"""An answer on its way to a client, which may read it slowly or not at all."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tfnorm.server.budget import MOST_SECONDS, Share

# What is written before the client has read what came before.
_PIECE_BYTES = 2**18


class Sent(Response):
    """A JSON answer, whose request has its memory until the client has read it, for a minute at most.

    Args:
        text: the answer.
        share: what its request has of the memory of all.
    """

    media_type = "application/json"

    def __init__(self, text: bytes, share: Share):
        super().__init__(text)
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the connection is closed where that takes too long."""
        try:
            if len(self.body) <= _PIECE_BYTES:
                await super().__call__(scope, receive, send)
                return
            await asyncio.wait_for(self._in_pieces(send), MOST_SECONDS)
        except asyncio.TimeoutError:
            return
        finally:
            self._share.close()

    async def _in_pieces(self, send: Send) -> None:
        headers = self.raw_headers
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        whole = memoryview(self.body)
        for start in range(0, len(whole), _PIECE_BYTES):
            piece = bytes(whole[start : start + _PIECE_BYTES])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
