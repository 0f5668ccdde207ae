"""Verification: the same examples in many batch compositions, and how far their scores move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnorm._start.lazy import lazily

if TYPE_CHECKING:
    from tfnorm.verify._public import *  # noqa: F403
    from tfnorm.verify._public import __all__ as __all__
else:
    __getattr__, __dir__ = lazily("tfnorm.verify._public")
