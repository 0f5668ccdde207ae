"""What a message takes once it is parsed, told before it is: two bytes can become two hundred."""

from __future__ import annotations

import functools

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tfnorm.errors import InputError

# Measured with protobuf's upb: what it takes for a message of two bytes, and for a repeated value.
_MESSAGE_BYTES = 176
_TEXT_BYTES = 48
_VALUE_BYTES = 16
_VARINT, _FIXED64, LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_TEXT = -1
CONTINUES = 0x80
_LONGEST = 70


def check_parsed_size(data: bytes, descriptor: Descriptor, most: int) -> int:
    """About how many bytes the message in `data` takes, by an estimate that is on the safe side.

    What is no such message passes: the parser says what is wrong with it.

    Args:
        data: the message.
        descriptor: of which type it is.
        most: the bytes that it may take; half of what is parsed is measured, the rest is an estimate.

    Raises:
        InputError: it takes more.
    """
    if len(data) * _MESSAGE_BYTES <= most:
        return _at_most(data, descriptor)
    taken = 0
    parts = [(0, len(data), descriptor)]
    while parts:
        at, end, message = parts.pop()
        fields = _fields(message)
        while at < end:
            tag, at = _varint(data, at, end)
            kind = tag & 7
            inner, each = fields.get(tag >> 3, (None, None))
            if kind == _VARINT:
                _, at = _varint(data, at, end)
                taken += _VALUE_BYTES
            elif kind in _FIXED:
                at += _FIXED[kind]
                taken += _VALUE_BYTES
            elif kind == LENGTH:
                size, at = _varint(data, at, end)
                if size > end - at:
                    break
                if inner is not None:
                    parts.append((at, at + size, inner))
                    taken += _MESSAGE_BYTES
                elif each == _TEXT:
                    taken += _TEXT_BYTES + size
                elif each is not None:
                    taken += _packed(data, at, size, each)
                at += size
            if taken > most:
                raise InputError(
                    f"the request takes over {most:,} bytes once it is parsed; "
                    f"accepted: up to {most:,}"
                )
    return taken


def _at_most(data: bytes, descriptor: Descriptor) -> int:
    """What a message takes at most, told in no time by how often a byte is there that a field begins with."""
    known = _first_bytes(descriptor).items()
    return len(data) * _VALUE_BYTES + sum(data.count(byte) * each for byte, each in known)


@functools.cache
def _first_bytes(descriptor: Descriptor) -> dict[bytes, int]:
    """The first byte of each message and string below a message -> what one takes, its characters aside."""
    found: dict[bytes, int] = {}
    seen, left = {descriptor}, [descriptor]
    while left:
        for number, (inner, each) in _fields(left.pop()).items():
            if inner is None and each != _TEXT:
                continue
            taken = _TEXT_BYTES if inner is None else _MESSAGE_BYTES
            tag = number << 3 | LENGTH
            # A short tag may be written in more bytes than it needs, and then begins as a long one.
            begins = [tag % CONTINUES | CONTINUES, *([tag] if tag < CONTINUES else [])]
            for byte in begins:
                found[bytes([byte])] = max(taken, found.get(bytes([byte]), 0))
            if inner is not None and inner not in seen:
                seen.add(inner)
                left.append(inner)
    return found


@functools.cache
def _fields(message: Descriptor) -> dict[int, tuple[Descriptor | None, int]]:
    """Number -> the message that a field holds, and the bytes of a value; 0 where they vary."""
    fixed = {
        FieldDescriptor.TYPE_DOUBLE: 8,
        FieldDescriptor.TYPE_FIXED64: 8,
        FieldDescriptor.TYPE_SFIXED64: 8,
        FieldDescriptor.TYPE_FLOAT: 4,
        FieldDescriptor.TYPE_FIXED32: 4,
        FieldDescriptor.TYPE_SFIXED32: 4,
    }
    text = dict.fromkeys((FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES), _TEXT)
    sizes = fixed | text
    return {
        field.number: (field.message_type, sizes.get(field.type, 0)) for field in message.fields
    }


def _packed(data: bytes, at: int, size: int, each: int) -> int:
    """The bytes of packed values: fixed ones as they are, varints by how many end."""
    if each:
        return size
    ends = np.frombuffer(data, np.uint8, size, at) < CONTINUES
    return int(np.count_nonzero(ends)) * _VALUE_BYTES


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at `at`, and where it ends; the end of the message where it is cut."""
    value = shift = 0
    while at < end and shift < _LONGEST:
        byte = data[at]
        at += 1
        value |= (byte & ~CONTINUES) << shift
        if byte < CONTINUES:
            return value, at
        shift += 7
    return 0, end
