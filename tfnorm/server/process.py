"""A server that is a process of its own: its signals, its log, and the processes of its models."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Iterator

from tfnorm._tensorflow import tensor_memory
from tfnorm.errors import InputError
from tfnorm.server.memory import GIVE_BACK_SECONDS, give_back, large_blocks_apart
from tfnorm.server.running.isolated import IsolatedModel
from tfnorm.server.running.launcher import Launcher
from tfnorm.server.server import Server

MAX_MODEL_MEGABYTES = 2048
_LEAST_MODEL_MEGABYTES = 64


def serve(server: Server, max_model_megabytes: int = MAX_MODEL_MEGABYTES) -> None:
    """Run `server` until SIGINT, SIGTERM or SIGHUP, in the main thread, with its log on stderr.

    Each version runs in a process of its own on Linux, and in this one elsewhere. What ends such a process,
    a request that takes too much memory or an op that is broken, ends that request; another process takes
    its place.

    Args:
        server: one that is not started.
        max_model_megabytes: how much memory the requests that run on a version may make it take at a time,
            beyond what it has when it is loaded. A request that needs more is answered with
            RESOURCE_EXHAUSTED. At least 64. The bound works on Linux only.

    Raises:
        InputError: as `Server.start`; or `max_model_megabytes` is below 64.

    Example:

        serve(Server("exports/ranker", "ranker"))
    """
    if max_model_megabytes < _LEAST_MODEL_MEGABYTES:
        raise InputError(
            f"max_model_megabytes is {max_model_megabytes}; it must be {_LEAST_MODEL_MEGABYTES} or more, "
            "as a version takes some of it to start, and each connection more"
        )
    log = logging.getLogger("tfnorm.server")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = log.level
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in _signals()}
    large_blocks_apart()
    try:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        with (
            contextlib.suppress(KeyboardInterrupt),
            tensor_memory(),
            _isolated(server, max_model_megabytes),
        ):
            # Not `with server`: an interrupt could come as it is entered.
            try:
                server.start()
                # What is there from now on is looked through in no time.
                gc.freeze()
                while not server.wait(GIVE_BACK_SECONDS):
                    give_back()
            finally:
                server.stop()
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        for number, previous in handlers.items():
            signal.signal(number, previous)


@contextlib.contextmanager
def _isolated(server: Server, max_model_megabytes: int) -> Iterator[None]:
    """Have the server's versions run in processes of their own."""
    if sys.platform != "linux":
        yield
        return
    with Launcher() as launcher:
        server.open_model = lambda path: IsolatedModel(path, launcher, max_model_megabytes * 2**20)
        yield


def _signals() -> list[signal.Signals]:
    """Those that end a server; a terminal that closes sends SIGHUP, which nohup has it not hear."""
    found = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        found.append(hangup)
    return found
