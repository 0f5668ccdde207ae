"""How far scores are from what they should be, rounding apart."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np

Arrays = Mapping[str, np.ndarray]

# Another runtime, with kernels of its own: what is wrong is off by more.
SAVED_TOLERANCE = 1e-3


def difference(scores: Arrays, expected: Arrays, tolerance: float) -> float | None:
    """The largest difference of any score, or None if all are equal but for rounding.

    Args:
        scores: output name -> array.
        expected: the same, as it should be.
        tolerance: relative to the score, and a tenth of it relative to the output's largest, for
            scores that are almost zero because terms cancel.
    """
    moved = [_moved(scores[name], wanted, tolerance) for name, wanted in expected.items()]
    return max((move for move in moved if move is not None), default=None)


def _moved(score: np.ndarray, wanted: np.ndarray, tolerance: float) -> float | None:
    if wanted.dtype.kind in "SO":
        return None if np.array_equal(score, wanted) else np.inf
    if wanted.dtype.kind in "biu":
        tolerance = 0
    else:
        tolerance = max(tolerance, 64 * float(ml_dtypes.finfo(wanted.dtype).eps))
    score, wanted = score.astype(np.float64), wanted.astype(np.float64)
    largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
    if np.allclose(score, wanted, tolerance, tolerance / 10 * largest, equal_nan=True):
        return None
    moves = np.abs(score - wanted)
    return float(np.max(moves, where=~np.isnan(moves), initial=0))
