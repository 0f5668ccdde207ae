"""Keep TensorFlow's start-up notes off the terminal of the command line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def is_command_line() -> bool:
    """Whether this process is the `tfnorm` command."""
    return Path(sys.argv[0]).stem == "tfnorm" if sys.argv else False


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Drop what is written to stderr meanwhile; TensorFlow's libraries log before they can be told not to."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
