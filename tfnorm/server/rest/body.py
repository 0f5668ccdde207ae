"""The body of a request, bounded and unpacked."""

from __future__ import annotations

import asyncio
import zlib

import tensorflow as tf
from starlette.requests import Request

from tfnorm.errors import InputError
from tfnorm.server.budget import MOST_SECONDS, SMALL_BYTES, Share

# Of zlib: gzip's format, which is no other.
_GZIP = 16 + zlib.MAX_WBITS
# zlib copies what it is given behind the end of a member: with the whole body, once for each of many.
_PIECE = 1 << 10
# How often one looks whether there is memory for the rest of a body.
_LOOK_SECONDS = 0.02


async def read(request: Request, max_bytes: int, share: Share) -> bytes:
    """The body as it came. One too large is read on: a client that still sends would miss the answer.

    Args:
        request: of whose body nothing was read.
        max_bytes: the longest accepted.
        share: what the request has of the memory of all; where others have it, reading waits.

    Raises:
        InputError: it has over `max_bytes`.
        tf.errors.DeadlineExceededError: it is not there after a minute, and it is not short.
    """
    length = request.headers.get("content-length", "")
    # What is not counted may be sent as slowly as a client likes.
    if length.isdecimal() and int(length) <= SMALL_BYTES:
        return await _read(request, max_bytes, share)
    try:
        return await asyncio.wait_for(_read(request, max_bytes, share), MOST_SECONDS)
    except asyncio.TimeoutError:
        reason = (
            f"the request's body was not there after {MOST_SECONDS:g} seconds: its client sends slowly, "
            "or other requests take the memory that all may take together"
        )
        raise tf.errors.DeadlineExceededError(None, None, reason) from None


async def _read(request: Request, max_bytes: int, share: Share) -> bytes:
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= max_bytes:
            share.want(len(chunk))
            while not share.is_granted():
                await asyncio.sleep(_LOOK_SECONDS)
            body += chunk
        elif size > 4 * max_bytes:
            break
    if size > max_bytes:
        raise InputError(f"the request has {size:,} bytes or more; accepted: up to {max_bytes:,}")
    return bytes(body)


def unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without the Content-Encoding that the client gave it.

    Raises:
        InputError: it is not what it is said to be, or has over `max_bytes` when unpacked.
    """
    if "gzip" not in encoding.lower():
        return body
    found = bytearray()
    unpacker = zlib.decompressobj(_GZIP)
    for start in range(0, len(body), _PIECE):
        piece = body[start : start + _PIECE]
        while piece:
            if unpacker.eof:
                unpacker = zlib.decompressobj(_GZIP)
            try:
                found += unpacker.decompress(piece, max_bytes - len(found) + 1)
            except zlib.error as error:
                raise InputError(f"the body can't be unpacked as gzip: {error}") from error
            if len(found) > max_bytes:
                raise InputError(f"the body has over {max_bytes:,} bytes when it is unpacked")
            piece = unpacker.unused_data
    if body and not unpacker.eof:
        raise InputError("the body can't be unpacked as gzip: it ends too early")
    return bytes(found)
