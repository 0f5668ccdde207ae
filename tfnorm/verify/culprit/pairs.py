"""A pair of batches that hold the same examples and differ in one thing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfnorm.differences import are_equal
from tfnorm.verify.culprit.batches import Feeds
from tfnorm.verify.culprit.rounding import Rounding
from tfnorm.verify.culprit.rows import Alignment


@dataclass(frozen=True)
class Pair:
    """Two batches with the same watched rows.

    Args:
        feeds: the two batches.
        alone: the watched rows by themselves; None where the batch size is fixed.
        alignment: where the watched rows stand; for a longer batch, where its steps do.
        rounding: how much they may move.
        longer: whether the second batch has the same rows, padded longer.
    """

    feeds: tuple[Feeds, Feeds]
    alone: Feeds | None
    alignment: Alignment
    rounding: Rounding
    longer: bool = False

    def moved(self, alone: tuple[int, ...], first: np.ndarray, second: np.ndarray) -> bool:
        """Whether the watched rows of a tensor moved; `alone` is its shape for them by themselves."""
        views = self.alignment.views(alone, first, second)
        return all(self.rounding.differ(*view) for view in views)

    def same(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Whether the watched rows of an output are the same to the last bit."""
        first, second = np.atleast_1d(first), np.atleast_1d(second)
        if not self.longer:
            watched = self.alignment.watched
            first, second = (
                output[-watched:] if last else output[:watched]
                for output, last in zip((first, second), self.alignment.last, strict=True)
            )
        return are_equal(first, second)
