"""A model in a process of its own, which is replaced where a call takes too much memory."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from tfnorm.errors import InputError
from tfnorm.server import waiting
from tfnorm.server.running.launcher import Launcher
from tfnorm.server.running.messages import Call, OutOfMemory
from tfnorm.server.running.process import Ended, ModelProcess
from tfnorm.session import find_saved_model, read_signatures

_log = logging.getLogger(__name__)
# A call may have no end, and others are to run by themselves as well.
_MOST_SECONDS = 60.0
# One call that has no end, and the start of a process for the next.
_MOST_WAITING_SECONDS = 2 * _MOST_SECONDS


class IsolatedModel:
    """A SavedModel in a process of its own.

    A call that makes it take too much memory fails, and may end the process, with all calls on it; then
    another takes its place. Which call was to blame can't be seen. So each that failed is repeated by itself,
    in a process that is for it alone: only the one to blame fails again.

    Args:
        path: the SavedModel.
        launcher: starts the processes.
        max_bytes: what all calls that run at a time may take, beyond the model itself.

    Raises:
        InputError: it can't be loaded, or a signature names what its graph lacks.
    """

    def __init__(self, path: Path, launcher: Launcher, max_bytes: int):
        self.path = find_saved_model(path)
        self._launcher = launcher
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._replacing = threading.Lock()
        self._one_by_one = threading.Lock()
        self._closed = False
        self._started: list[ModelProcess] = []
        self._process = self._start()
        self.signature_defs = {
            name: SignatureDef.FromString(data)
            for name, data in self._process.loaded.signature_defs.items()
        }
        self.signatures = read_signatures(self.signature_defs)

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str] | None = None,
        max_bytes: int,
    ) -> dict[str, np.ndarray]:
        """As `Model.run`.

        Raises:
            tf.errors.ResourceExhaustedError: the outputs are larger, or it takes too much memory.
            tf.errors.InternalError: the model ends its process on this call.
            tf.errors.DeadlineExceededError: the process ended, and repeated by itself, it takes too long.
            tf.errors.UnavailableError: the process ended on another call, and this one can't be repeated;
                or there are no file descriptors left.
            tf.errors.CancelledError: the client is gone before it is repeated.
        """
        call = Call(feeds, signature, outputs, max_bytes)
        process = self._running()
        try:
            return process.ask(call)
        except (OutOfMemory, Ended) as error:
            if process.has_ended and not self._closed:
                _log.error("%s: %s; another takes its place", self.path, error)
        self._wait_for_others()
        try:
            waiting.check()
            return self._by_itself(call, process)
        finally:
            self._one_by_one.release()

    def close(self) -> None:
        """As `Model.close`."""
        with self._lock:
            self._closed = True
        for process in self._started:
            process.end()

    def _running(self) -> ModelProcess:
        """The process, or one in its place where it has ended."""
        if self._process.has_ended:
            with self._replacing:
                if self._process.has_ended:
                    self._process = self._another()
        return self._process

    def _wait_for_others(self) -> None:
        end = time.monotonic() + _MOST_WAITING_SECONDS
        while not self._one_by_one.acquire(timeout=waiting.LOOK_SECONDS):
            waiting.check()
            if time.monotonic() > end:
                raise _unavailable("a request before this one takes too long")

    def _by_itself(self, call: Call, failed: ModelProcess) -> dict[str, np.ndarray]:
        process = self._another()
        is_late = threading.Event()

        def end_late() -> None:
            is_late.set()
            process.end()

        timer = threading.Timer(_MOST_SECONDS, end_late)
        timer.daemon = True
        try:
            timer.start()
            outputs = process.ask(call)
        except (OutOfMemory, Ended) as error:
            self._check_open()
            raise self._blamed(error, is_late.is_set()) from error
        else:
            # What a process has once taken lies in pieces, of which not every call can make use.
            with self._replacing:
                if self._process is failed:
                    self._process = process
                    failed.retire()
            return outputs
        finally:
            timer.cancel()
            if self._process is not process:
                process.end()

    def _blamed(self, error: Exception, is_late: bool) -> tf.errors.OpError:
        """What a call is told that ended a process in which it was alone."""
        if is_late:
            return tf.errors.DeadlineExceededError(
                None,
                None,
                "the model's process ended on this request or on one beside it, and run once more, by "
                f"itself, this one took over {_MOST_SECONDS:g} seconds",
            )
        if isinstance(error, OutOfMemory):
            return tf.errors.ResourceExhaustedError(
                None,
                None,
                "this request makes the model take more than the "
                f"{self._max_bytes / 2**20:,.0f} MB that requests may take at a time ({error}); ask for "
                "fewer rows, or raise --max-model-megabytes",
            )
        return tf.errors.InternalError(None, None, f"the model can't run this request: {error}")

    def _another(self) -> ModelProcess:
        try:
            return self._start()
        except InputError as error:
            raise _unavailable(f"no other process of it starts: {error}") from error

    def _start(self) -> ModelProcess:
        self._check_open()
        process = ModelProcess(self.path, self._launcher, self._max_bytes)
        with self._lock:
            self._started = [*(one for one in self._started if not one.has_ended), process]
            if not self._closed:
                return process
        process.end()
        raise _closed()

    def _check_open(self) -> None:
        if self._closed:
            raise _closed()


def _closed() -> tf.errors.CancelledError:
    return tf.errors.CancelledError(None, None, "the model is closed")


def _unavailable(reason: str) -> tf.errors.UnavailableError:
    return tf.errors.UnavailableError(None, None, f"the model's process has ended, and {reason}")
