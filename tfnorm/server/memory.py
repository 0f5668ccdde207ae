"""The memory of a process, and how what requests have taken goes back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import sys
from pathlib import Path

GIVE_BACK_SECONDS = 2.0
"""How often a process that serves gives back what requests have taken."""

# Of glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 2**20


def large_blocks_apart() -> None:
    """Have what is large lie apart, so that all of it goes back to the system when it is freed.

    glibc's bound for that grows with the blocks that are freed, up to 32 MB. Larger ones then lie between
    small ones that stay.
    """
    _glibc("mallopt", _M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Return to the system what requests have taken.

    Errors leave circles of frames, which only a collection frees, and glibc keeps what is freed, in pieces,
    in an arena for each thread.
    """
    gc.collect()
    _glibc("malloc_trim", 0)


def resident() -> int:
    """The bytes of this process that are in memory, on Linux."""
    return _pages(1)


def data() -> int:
    """The bytes that this process may write to and shares with no other, on Linux."""
    return _pages(5)


def _pages(column: int) -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[column]) * mmap.PAGESIZE


def _glibc(function: str, *arguments: int) -> None:
    """Call it where there is one: another C library, such as musl, keeps less."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):
            getattr(ctypes.CDLL(None), function)(*arguments)
