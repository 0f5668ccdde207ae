"""The log of the server's other processes."""

from __future__ import annotations

import contextlib
import os
import re
import threading

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""The variable that says what TensorFlow logs: from 0, all of it, to 3, what ends the process."""

# Lines of TensorFlow's log, and those that follow them.
_OF_TENSORFLOW = re.compile(
    rb"[IWE]\d{4} |\d{4}-\d\d-\d\d .*: [IWE] |\t \[\[|Hint: |WARNING: All log|$"
)
_FRAMES = b"Traceback (most recent call last)"
_ERRORS_LEVEL = 2
_TAIL_BYTES = 2**13
_LOG_SECONDS = 5.0
_STDERR = 2


class Log:
    """Passes on what a process writes, as far as this one logs such lines, and keeps the end of it.

    While this lasts, `descriptor` is where it is to write. Where TensorFlow logs the error of an op that is
    in Python, the frames behind it are left out: the line before them says what went wrong.
    """

    def __init__(self) -> None:
        self.tail = b""
        self._read, self.descriptor = os.pipe()
        self._thread = threading.Thread(target=self._pass_on, name="tfnorm-model-log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self.descriptor)

    def join(self) -> None:
        """Wait until the last of it is there."""
        self._thread.join(_LOG_SECONDS)

    def _pass_on(self) -> None:
        quiet = int(os.environ.get(LEVEL, "0")) >= _ERRORS_LEVEL
        is_logged = in_frames = False
        with os.fdopen(self._read, "rb") as lines:
            for line in lines:
                self.tail = (self.tail + line)[-_TAIL_BYTES:]
                before, is_logged = is_logged, _OF_TENSORFLOW.match(line) is not None
                begins = before and line.startswith(_FRAMES)
                left_out = begins or in_frames or (quiet and is_logged)
                # The frames end with a line that is not indented: the error, once more.
                in_frames = begins or (in_frames and line[:1].isspace())
                if not left_out:
                    with contextlib.suppress(OSError):
                        os.write(_STDERR, line)
