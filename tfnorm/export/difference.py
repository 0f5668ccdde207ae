"""How far scores are from what they should be, rounding apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfnorm.differences import epsilon

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Tried:
    """Inputs that were tried on a model.

    Attributes:
        features: input name -> array.
        scores: output name -> what the model gave for them.
    """

    features: Arrays
    scores: Arrays

    def __len__(self) -> int:
        return len(next(iter(self.features.values())))


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
    counts = wanted.dtype.kind in "biu"
    tolerance = 0 if counts else max(tolerance, 64 * epsilon(wanted.dtype.name))
    exact = np.complex128 if wanted.dtype.kind == "c" else np.float64
    score, wanted = score.astype(exact), wanted.astype(exact)
    largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
    if np.allclose(score, wanted, tolerance, tolerance / 10 * largest, equal_nan=True):
        return None
    with np.errstate(invalid="ignore"):
        moves = np.abs(score - wanted)
    return float(np.max(moves, where=~np.isnan(moves), initial=0))
