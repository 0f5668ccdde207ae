"""Run Python in processes that have imported TensorFlow and Keras, and in which nothing of them has started.

They are forked from one process that stays like that, so the import, which takes seconds, is paid once.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import matplotlib

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tensorflow", "keras"])
SECONDS = 550
"""That a call may take on a machine that others keep busy; below the limit of a test."""


def apart(function: Callable[..., Any], *calls: tuple[Any, ...]) -> list[Any]:
    """What `function` gives for each call, all at once, each in a process of its own.

    The function must be one that the process can import, and is the first of tfnorm's that it sees.
    """
    with FORKS.Pool(len(calls), maxtasksperchild=1) as pool:
        return pool.starmap_async(function, calls, chunksize=1).get(timeout=SECONDS)


def printed(program: str, *arguments: str) -> str:
    """What a program prints that is given as text."""
    sys.argv = ["-c", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
    return shown.getvalue()


class Module:
    """`python -m MODULE` in such a process, with what a `subprocess.Popen` has that is waited for."""

    stdin = stdout = stderr = None

    def __init__(self, command: list[str], *, env: dict[str, str], cwd: str, **_: Any):
        ours, theirs = FORKS.Pipe()
        self._process = FORKS.Process(target=_run_module, args=(command[2:], env, cwd, theirs))
        self._process.start()
        ours.recv()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode


def _run_module(command: list[str], env: dict[str, str], cwd: str, started: Connection) -> None:
    # Who ends it ends its group, which must not be that of the tests.
    os.setsid()
    started.send(True)
    os.environ.update(env)
    # Keras has imported it, and it looks at its environment when it is imported.
    matplotlib.rcParams["backend"] = env["MPLBACKEND"]
    os.chdir(cwd)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
