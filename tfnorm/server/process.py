"""A server that is a process of its own: its signals and its log."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import signal
import sys

from tfnorm._tensorflow import tensor_memory
from tfnorm.server.server import Server

_GIVE_BACK_SECONDS = 2.0
# Of glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 2**20


def serve(server: Server, max_model_megabytes: int | None = None) -> None:
    """Run `server` until SIGINT, SIGTERM or SIGHUP, in the main thread, with its log on stderr.

    Args:
        server: one that is not started.
        max_model_megabytes: how much memory the models may take, for their weights and all that they
            compute at a time; None for what the machine has. A request that would take more is answered
            with RESOURCE_EXHAUSTED, and a version that would take more has the state END. With a bound,
            TensorFlow keeps memory that the models once took for the next request. The bound works only if
            TensorFlow has not yet run anything in this process.

    Raises:
        InputError: as `Server.start`.

    Example:

        serve(Server("exports/ranker", "ranker"))
    """
    log = logging.getLogger("tfnorm.server")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = log.level
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in _signals()}
    large_blocks_apart()
    try:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        with contextlib.suppress(KeyboardInterrupt), tensor_memory(max_model_megabytes), server:
            # What is there from now on is looked through in no time.
            gc.freeze()
            while not server.wait(_GIVE_BACK_SECONDS):
                give_back()
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        for number, previous in handlers.items():
            signal.signal(number, previous)


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


def _glibc(function: str, *arguments: int) -> None:
    """Call it where there is one: another C library, such as musl, keeps less."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):
            getattr(ctypes.CDLL(None), function)(*arguments)


def _signals() -> list[signal.Signals]:
    """Those that end a server; a terminal that closes sends SIGHUP, which nohup has it not hear."""
    found = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        found.append(hangup)
    return found
