"""What runs in each worker: it loads once what its work needs, and works on a file at a time."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Literal, Protocol

import tensorflow as tf

from tfnorm._start.version import __version__
from tfnorm.errors import InputError

Said = tuple[Literal["done", "refused"], Any]
"""What came of it; where it was refused, why."""

REFUSALS = (InputError, ImportError, OSError, MemoryError, tf.errors.ResourceExhaustedError)
"""What a worker meets that can't import, read or fit what it needs."""


class Work(Protocol):
    """What is done with each file.

    Attributes:
        fingerprint: what tells the model that was loaded for it from others; None where nothing does.
    """

    fingerprint: str | None

    def __call__(self, file: str, *arguments: Any) -> Any:
        """What a file comes to: partial results, never rows.

        Raises:
            InputError: the file can't be read, or doesn't fit.
        """
        ...


class Worker:
    """A process of a cluster.

    Args:
        cores: how many it may keep busy.
        pickled: a function without arguments that loads all that the work needs, and gives it.
    """

    def __init__(self, cores: int, pickled: bytes):
        tf.config.threading.set_intra_op_parallelism_threads(cores)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._pickled = pickled
        self._work: Work | None = None

    def start(self) -> Said:
        """Load what the work needs; its fingerprint and the version of tfnorm come back."""
        return _said(self._start)

    def run(self, file: str, arguments: tuple[Any, ...]) -> Said:
        """Work on a file."""
        assert self._work is not None
        work = self._work
        return _said(lambda: work(file, *arguments), file)

    def _start(self) -> tuple[str, str | None]:
        make: Callable[[], Work] = pickle.loads(self._pickled)
        self._work = make()
        return __version__, self._work.fingerprint


def _said(function: Callable[[], Any], file: str | None = None) -> Said:
    try:
        return "done", function()
    except InputError as error:
        reason = str(error)
    except REFUSALS as error:
        reason = (str(error).strip() or "no more is said").splitlines()[0]
        reason = f"{type(error).__name__}: {reason}"
    return "refused", reason if file is None or file in reason else f"{file}: {reason}"
