"""Keras ranking models that score the same in training, in a notebook and behind TensorFlow Serving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnorm._start.command_line import is_command_line
from tfnorm._start.lazy import lazily
from tfnorm._start.version import __version__ as __version__

if TYPE_CHECKING or not is_command_line():
    from tfnorm._public import *  # noqa: F403
    from tfnorm._public import __all__ as __all__
else:
    __getattr__, __dir__ = lazily("tfnorm._public")
