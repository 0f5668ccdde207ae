"""Replay: do the answers in a log equal a model's, and if not, why?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnorm._start.lazy import lazily

if TYPE_CHECKING:
    from tfnorm.replay._public import *  # noqa: F403
    from tfnorm.replay._public import __all__ as __all__
else:
    __getattr__, __dir__ = lazily("tfnorm.replay._public")
