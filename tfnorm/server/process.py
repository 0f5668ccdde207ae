"""A server that is a process of its own: its signals and its log."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import math
import os
import signal
import sys

from tfnorm._tensorflow import bounded_allocations
from tfnorm.server.server import Server

_GIVE_BACK_SECONDS = 2.0


def serve(server: Server, max_model_megabytes: int | None = None) -> None:
    """Run `server` until SIGINT, SIGTERM or SIGHUP, in the main thread, with its log on stderr.

    Args:
        server: one that is not started.
        max_model_megabytes: what the models may take, their weights and all that they compute at a time;
            None for three quarters of this machine's memory. A request that would make them take more is
            RESOURCE_EXHAUSTED, a version END. It counts where TensorFlow has not yet run anything in this
            process.

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
    try:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        with contextlib.suppress(KeyboardInterrupt), _bounded(max_model_megabytes), server:
            # What is there from now on is looked through in no time.
            gc.freeze()
            while not server.wait(_GIVE_BACK_SECONDS):
                give_back()
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        for number, previous in handlers.items():
            signal.signal(number, previous)


def give_back() -> None:
    """Return to the system what requests have taken.

    Errors leave circles of frames, which only a collection frees, and glibc keeps what is freed, in pieces,
    in an arena for each thread. What TensorFlow's bounded allocator once had, it keeps for the next run.
    """
    gc.collect()
    if sys.platform == "linux":
        # Another C library, such as musl, has no such function, and keeps less.
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _bounded(megabytes: int | None) -> contextlib.AbstractContextManager[None]:
    if megabytes is not None:
        return bounded_allocations(megabytes)
    # Windows has neither, and no bound then.
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    if not hasattr(os, "sysconf") or not os.sysconf_names.keys() >= set(names):
        return contextlib.nullcontext()
    memory = math.prod(map(os.sysconf, names))
    return bounded_allocations(max(1, memory * 3 // 4 // 2**20))


def _signals() -> list[signal.Signals]:
    """Those that end a server; a terminal that closes sends SIGHUP, which nohup has it not hear."""
    found = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        found.append(hangup)
    return found
