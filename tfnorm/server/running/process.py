"""The server's end of a model's process."""

from __future__ import annotations

import contextlib
import errno
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server.running.channel import TAKEN, Channel
from tfnorm.server.running.launcher import Launcher
from tfnorm.server.running.log import Log
from tfnorm.server.running.messages import Call, Loaded, OutOfMemory, Raised

# What TensorFlow and C++ say before they end a process that got no memory.
_NO_MEMORY = re.compile(
    rb"OOM when allocating|bad_alloc|length_error|[Oo]ut of memory|pthread_create\(\) failed"
)
# Ops that don't look whether they got memory, such as Eigen's convolution, write to what they did not get.
_WITHOUT_A_WORD = {signal.SIGSEGV, signal.SIGBUS}
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}


class Ended(Exception):
    """The process of a model has ended."""


class ModelProcess:
    """A process that has loaded a SavedModel.

    Args:
        path: the SavedModel.
        launcher: starts it, and ends it.
        max_bytes: what all calls that run at a time may take, beyond the model itself.

    Raises:
        InputError: it can't be loaded.
        tf.errors.UnavailableError: there are no file descriptors left.
    """

    def __init__(self, path: Path, launcher: Launcher, max_bytes: int):
        self.has_ended = False
        self._launcher = launcher
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._opening = threading.Lock()
        self._calls = 0
        self._retired = False
        self._free: list[Channel] = []
        with _descriptors(), Log() as self._log:
            self._control, theirs = socket.socketpair()
            with theirs:
                self._number = launcher.start(path, max_bytes, theirs, self._log.descriptor)
        self.loaded = Loaded({}, 0)
        try:
            answer = Channel(self._control).receive()
        except (EOFError, OSError):
            reason = f"{path} can't be loaded: {self.end()}"
            if _NO_MEMORY.search(self._log.tail):
                reason += "; it takes more memory than it may, so raise --max-model-megabytes"
            raise InputError(reason) from None
        if isinstance(answer, Raised):
            self.end()
            raise answer.error from answer.cause
        assert isinstance(answer, Loaded)
        self.loaded = answer

    def ask(self, call: Call) -> dict[str, np.ndarray]:
        """The outputs of a call.

        Raises:
            Ended: the process has ended.
            OutOfMemory: the call takes too much memory.
            tf.errors.UnavailableError: there are no file descriptors left, here or there.
            Exception: what the call raised.
        """
        with self._lock:
            self._calls += 1
        try:
            return self._asked(call)
        finally:
            with self._lock:
                self._calls -= 1
                if self._retired and not self._calls:
                    self.end()

    def retire(self) -> None:
        """End it with the last call on it."""
        with self._lock:
            self._retired = True
            if not self._calls:
                self.end()

    def end(self) -> Exception:
        """End it; why it had ended, where it had."""
        with self._lock:
            if not self.has_ended:
                self.has_ended = True
                self._why = self._ended()
            return self._why

    def _asked(self, call: Call) -> dict[str, np.ndarray]:
        try:
            channel = self._taken() or self._open()
        except OSError:
            raise self.end() from None
        try:
            channel.send(call)
            answer = channel.receive()
        except (EOFError, OSError):
            channel.close()
            raise self.end() from None
        except BaseException:
            channel.close()
            raise
        self._free.append(channel)
        if isinstance(answer, Raised):
            raise answer.error from answer.cause
        assert isinstance(answer, dict)
        return answer

    def _taken(self) -> Channel | None:
        with self._lock:
            return self._free.pop() if self._free else None

    def _open(self) -> Channel:
        with _descriptors():
            ours, theirs = socket.socketpair()
        with self._opening, theirs:
            socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
            answer = self._control.recv(1)
        if answer == TAKEN:
            return Channel(ours)
        ours.close()
        if answer:
            raise _unavailable("the model's process")
        raise ConnectionResetError

    def _ended(self) -> Exception:
        ended_by, most = self._launcher.end(self._number)
        self._control.close()
        while self._free:
            self._free.pop().close()
        self._log.join()
        if not ended_by:
            return Ended("its process has ended")
        reason = f"its process was ended by {signal.Signals(ended_by).name}"
        if ended_by in _WITHOUT_A_WORD:
            return OutOfMemory(
                f"{reason}, as by an op that did not get memory, or one that is broken"
            )
        grown = most - self.loaded.resident
        if _NO_MEMORY.search(self._log.tail) or grown > self._max_bytes / 2:
            return OutOfMemory(reason)
        return Ended(reason)


@contextlib.contextmanager
def _descriptors() -> Iterator[None]:
    """Say that this process has no file descriptors left where that is so."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_DESCRIPTOR:
            raise _unavailable("the server") from error
        raise


def _unavailable(which: str) -> tf.errors.UnavailableError:
    reason = f"{which} has no file descriptors left for this request; raise its limit (ulimit -n)"
    return tf.errors.UnavailableError(None, None, reason)
