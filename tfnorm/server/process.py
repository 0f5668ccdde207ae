"""A server that is a process of its own: its signals and its log."""

from __future__ import annotations

import contextlib
import logging
import signal

from tfnorm.server.server import Server


def serve(server: Server) -> None:
    """Run `server` until SIGINT, SIGTERM or SIGHUP, in the main thread, with its log on stderr.

    Args:
        server: one that is not started.

    Raises:
        InputError: as `Server.start`.
    """
    log = logging.getLogger("tfnorm.server")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = log.level
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in _signals()}
    try:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        with contextlib.suppress(KeyboardInterrupt), server:
            server.wait()
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        for number, previous in handlers.items():
            signal.signal(number, previous)


def _signals() -> list[signal.Signals]:
    """Those that end a server; a terminal that closes sends SIGHUP, which nohup has it not hear."""
    found = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        found.append(hangup)
    return found
