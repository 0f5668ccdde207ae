"""Keras ranking models that score the same in training, in a notebook and behind TensorFlow Serving."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tfnorm._start.command_line import is_command_line
from tfnorm._start.lazy import lazily
from tfnorm._start.version import __version__ as __version__

if TYPE_CHECKING:
    from tfnorm._public import *  # noqa: F403
    from tfnorm._public import __all__ as __all__
else:
    # The name is the function's, and a package takes its name when it is first imported.
    importlib.import_module("tfnorm.replay")
    globals().pop("replay", None)
    if not is_command_line():
        from tfnorm._registered import *  # noqa: F403
    __getattr__, __dir__ = lazily(
        "tfnorm._public",
        rooms=("datasets", "export", "metrics", "pipeline", "statistics", "verify"),
    )
