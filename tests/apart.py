"""Run Python in processes that have imported TensorFlow and Keras, and in which nothing of them has started.

They are forked from one process that stays like that, so the import, which takes seconds, is paid once.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import sys
from collections.abc import Callable
from typing import Any

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
