"""Starts the processes of models, and ends them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tfnorm.server.running import log

_NURSERY = "tfnorm.server.running.nursery"
_LONGEST_MESSAGE = 2**16
# A fork has none of the threads that were there: NumPy's are not even started.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
# They say what an op lacked that then ends its process.
_WARNINGS = {log.LEVEL: "1"}


class Launcher:
    """The processes of models, forked from one that has TensorFlow and runs nothing.

    That one is a Python of its own: what this process has begun, such as TensorFlow's threads, a fork would
    lack. It ends with this process, and those of models with it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def start(self, path: Path, max_bytes: int, control: socket.socket, said: int) -> int:
        """Start a process that loads a SavedModel, as `worker.work` does; its number.

        Args:
            path: the SavedModel.
            max_bytes: as there.
            control: the process's end of the connection to it.
            said: what it writes its log to.
        """
        told = {"path": str(path), "max_bytes": max_bytes}
        with self._lock:
            for _ in range(2):
                number = self._ask(told, [control.fileno(), said])
                if number is not None:
                    return int(number)
                # Somebody has ended the one that forks.
                self.close()
                self._begin()
        raise RuntimeError(
            "the process that starts those of models does not start; the log says why"
        )

    def end(self, process: int) -> tuple[int, int]:
        """End a process; the signal that ended it, 0 for none, and the most memory in bytes that it had.

        One whose parent is gone is ended without a word: nobody can tell what it had.
        """
        with self._lock:
            answer = self._ask(process, [])
        if answer is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            return 0, 0
        ended_by, most = answer
        return ended_by, most

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of them."""
        self._control.close()
        self._nursery.kill()
        self._nursery.wait()
        self._log.join()

    def _begin(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(folder or os.curdir for folder in sys.path)
        self._log = log.Log()
        with theirs, self._log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", _NURSERY, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=self._log.descriptor,
                # Ctrl-C is for the server, which ends the others in its own time.
                start_new_session=True,
                env={**os.environ, **_ONE_THREAD, **_WARNINGS, "PYTHONPATH": path},
            )

    def _ask(self, told: Any, descriptors: list[int]) -> Any:
        """What the process that forks answers; None where it has ended."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._control, [json.dumps(told).encode()], descriptors)
            if answer := self._control.recv(_LONGEST_MESSAGE):
                return json.loads(answer)
        return None
