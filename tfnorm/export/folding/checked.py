"""Whether a folded model still scores as the model does."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import ml_dtypes
import numpy as np

from tfnorm.export.folding.fold import Folding, fold
from tfnorm.export.structure import Structure
from tfnorm.export.tracing.interface import Interface
from tfnorm.export.tracing.trace import Traced, trace

Arrays = Mapping[str, np.ndarray]

FOLDED_TOLERANCE = 1e-5
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


def fold_and_trace(
    called: Interface, found: Structure, features: Arrays | None, expected: Arrays | None
) -> tuple[Folding, Traced]:
    """Fold as much as leaves the scores of `features` at `expected`.

    Without features nothing is checked, and nothing folded that would have to be.
    """

    def attempt(kept: Mapping[keras.layers.Layer, str]) -> tuple[Folding, Traced, float | None]:
        folding = fold(found, kept, checked=features is not None)
        traced = trace(called, folding)
        if features is None:
            return folding, traced, None
        return folding, traced, difference(traced.score(features), expected, FOLDED_TOLERANCE)

    folding, traced, moved = attempt({})
    if moved is None:
        return folding, traced
    layers = [*folding.folded, *folding.not_folded]
    kept = {}
    for layer in layers:
        _, _, alone = attempt({other: "not tried" for other in layers if other is not layer})
        if alone is not None:
            kept[layer] = f"folded, it moves a score by up to {alone:.2g}"
    folding, traced, moved = attempt(kept)
    if moved is not None:
        together = f"folded together, the layers move a score by up to {moved:.2g}"
        folding, traced, _ = attempt(dict.fromkeys(layers, together) | kept)
    return folding, traced
