"""Whether this process is the command line, which answers `--help` before TensorFlow is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

_MODULES = ("tfnorm", "tfnorm.__main__", "tfnorm.cli", "tfnorm.cli.__main__")


def is_command_line() -> bool:
    """Whether this process is the `tfnorm` command, or Python that was told to run it as a module."""
    if not sys.argv:
        return False
    if sys.argv[0] != "-m":
        return Path(sys.argv[0]).stem == "tfnorm"
    # Python says "-m" while it looks for the module, whose name comes before the arguments.
    return sys.orig_argv[-len(sys.argv)].removeprefix("-m") in _MODULES
