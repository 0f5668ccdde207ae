"""Training of the ranking models by a recipe, of Keras's own parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnorm._start.lazy import lazily

if TYPE_CHECKING:
    from tfnorm.training._public import *  # noqa: F403
    from tfnorm.training._public import __all__ as __all__
else:
    __getattr__, __dir__ = lazily("tfnorm.training._public")
