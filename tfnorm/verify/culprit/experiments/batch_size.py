"""The same rows in batches of other sizes: what the batch size flows into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfnorm.verify.culprit.experiments.experiment import Accusation, Subject
from tfnorm.verify.culprit.size_flow import SizeFlow

BATCH_SIZES = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 256, 257)

_SIZES_SEARCHED = 3


class BatchSize:
    """The batch's size differs.

    Args:
        sizes: those to compare.
    """

    def __init__(self, sizes: Sequence[int]):
        self._sizes = sizes

    def find(self, subject: Subject) -> Accusation | None:
        """Whatever the batch size flows into, tried with the sizes that move the outputs most."""
        if subject.batches.fixed_size:
            return None
        small = subject.batches.take(0, subject.watched)
        expected = subject.scores(small)
        if expected is None:
            return None
        moves = []
        for size in self._sizes:
            scores = subject.scores(subject.batches.take(0, size))
            if scores is not None:
                moves.append((_largest_move(expected, scores), size))
        flow = SizeFlow(subject.probe, small)
        for move, size in sorted(moves, reverse=True)[:_SIZES_SEARCHED]:
            if move and (mixed := flow.find(subject.batches.take(0, size))):
                came = f", from {mixed.region.origins[mixed.source].name}" if mixed.source else ""
                return Accusation(
                    mixed.region,
                    mixed.node,
                    f"the batch size flows in here{came}",
                    "Leave the batch size out of the scores: use a constant, or a size of each "
                    "example.",
                )
        return None


def _largest_move(expected: list[np.ndarray], scores: list[np.ndarray]) -> float:
    """How far the first rows' scores are from `expected`, relative to the largest of them."""
    largest = 0.0
    for first, second in zip(map(np.asarray, expected), map(np.asarray, scores), strict=True):
        if first.ndim and first.shape[1:] == second.shape[1:]:
            rows = min(len(first), len(second))
            first, second = first[:rows], second[:rows]
        if first.shape != second.shape or first.dtype.kind not in "fiub":
            largest = max(largest, float(not np.array_equal(first, second)))
            continue
        first, second = first.astype(np.float64), second.astype(np.float64)
        move = np.nan_to_num(np.abs(first - second), nan=0.0)
        scale = np.nan_to_num(np.abs(first), posinf=0.0).max(initial=0.0) or 1.0
        largest = max(largest, float(move.max(initial=0.0) / scale))
    return largest
