"""A process that does nothing but fork others: they have TensorFlow at once, and share it.

    python -m tfnorm.server.running.nursery DESCRIPTOR

DESCRIPTOR is a socket on which it is told what to do, one message each: to start a model's process, or to
end one.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from tfnorm._tensorflow import GPU_AS_NEEDED, tensor_memory
from tfnorm.server.running.worker import work

_LONGEST_MESSAGE = 2**16


def main(control: socket.socket) -> None:
    """Do as is told, until the other end is closed."""
    started: set[int] = set()
    # What is there from now on is shared with the processes that are forked.
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _LONGEST_MESSAGE, 2)
        if not message:
            return
        told = json.loads(message)
        if descriptors:
            calls, log = descriptors
            answer: Any = _start(control, calls, log, **told)
            started.add(answer)
        else:
            answer = _end(told) if told in started else (0, 0)
            started.discard(told)
        control.send(json.dumps(answer).encode())


def _start(control: socket.socket, calls: int, log: int, path: str, max_bytes: int) -> int:
    """The process of a model, which writes to `log`."""
    process = os.fork()
    if process:
        os.close(calls)
        os.close(log)
        return process
    try:
        control.close()
        os.dup2(log, sys.stderr.fileno())
        os.close(log)
        work(socket.socket(fileno=calls), Path(path), max_bytes)
    except BaseException:
        traceback.print_exc()
    finally:
        # Threads that run an op don't keep it.
        sys.stderr.flush()
        os._exit(0)


def _end(process: int) -> tuple[int, int]:
    """The signal that ended a process, 0 for none, and the most memory in bytes that it had."""
    os.kill(process, signal.SIGKILL)
    _, status, usage = os.wait4(process, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, usage.ru_maxrss * 1024


if __name__ == "__main__":
    os.environ.setdefault(*GPU_AS_NEEDED)
    with tensor_memory():
        main(socket.socket(fileno=int(sys.argv[1])))
