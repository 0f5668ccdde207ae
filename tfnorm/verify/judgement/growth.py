"""Whether values move the further, the larger the batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LARGE = 64
"""From this batch size on, rounding does not grow with it: the kernels are the same."""

_FEWEST_SIZES = 5
_CORRELATED = 0.95


def grows_with_size(moves: Sequence[tuple[int, float]]) -> bool:
    """Whether values move in proportion to a power of the batch size, as no rounding does.

    Args:
        moves: batch sizes, and how far a value moves on average.
    """
    points = np.array([(size, mean) for size, mean in moves if mean > 0 and size >= LARGE])
    if len(points) < max(_FEWEST_SIZES, len(moves) / 4) or len(set(points[:, 0])) < _FEWEST_SIZES:
        return False
    size, mean = np.log(points).T
    if not np.ptp(mean):
        return False
    slope = np.polyfit(size, mean, 1)[0]
    return bool(slope > 0.5 and np.corrcoef(size, mean)[0, 1] > _CORRELATED)
