"""How far an answer may be from the model's by rounding alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfnorm.differences import epsilon, is_floating
from tfnorm.verify.judgement.reference import AT_EQUAL_SHAPES, AT_OTHER_SHAPES
from tfnorm.verify.judgement.tolerance import Tolerance

HEAD = 4096
"""Rows at the log's beginning, whose magnitudes decide what is near 0."""


@dataclass(frozen=True)
class Bounds:
    """How far a new score may be from the logged one and still be equal, but for rounding.

        |new - logged| <= atol max(1, scale) + rtol |logged|

    or, if that is more, 256 epsilons of max(|logged|, scale) for a model that computes in float32 and 4 for
    one that computes in fewer bits. `scale` is the median magnitude of that value over the log's first
    rows. Another machine rounds differently; in the batch as it was logged, nothing else should differ.

    Attributes:
        tolerance: atol, rtol, and the type that the model computes in.
        scales: output name -> the median magnitude of each value of a row.

    Example:

        >>> kept = {"atol": 1e-6, "rtol": 1e-5, "precision": "float32", "scales": {"score": [0.5]}}
        >>> Bounds.from_dict(kept).scales["score"]
        [0.5]
    """

    tolerance: Tolerance
    scales: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, tolerance: Tolerance, head: Mapping[str, list[np.ndarray]]) -> Bounds:
        """The bounds that follow from the answers at a log's beginning.

        Args:
            tolerance: atol and rtol.
            head: output name -> the values `[rows, values]` of each request.
        """
        return cls(tolerance, {name: _scale(arrays) for name, arrays in head.items()})

    def bound(self, name: str, logged: np.ndarray) -> np.ndarray:
        """How far each value may be off, `[rows, values]` as the values themselves."""
        if not is_floating(logged):
            return np.zeros(logged.shape)
        tolerance = self.tolerance
        size = np.abs(np.nan_to_num(logged.astype(np.float64), posinf=0.0, neginf=0.0))
        scale = self._scale(name, logged)
        bound = tolerance.atol * np.maximum(1.0, scale) + tolerance.rtol * size
        own = self.epsilon(logged.dtype.name)
        counted = AT_OTHER_SHAPES[32] if own <= epsilon("float32") else AT_EQUAL_SHAPES
        rounding = counted * tolerance.tightened * own * np.maximum(size, scale)
        found: np.ndarray = np.maximum(bound, rounding)
        return found

    def epsilon(self, dtype: str) -> float:
        """The rounding of the coarsest type that values of a type went through."""
        own = epsilon(dtype)
        return max(own, epsilon(self.tolerance.precision)) if self.tolerance.precision else own

    def to_dict(self) -> dict[str, Any]:
        """It as plain data."""
        tolerance = self.tolerance
        return {
            "atol": tolerance.atol,
            "rtol": tolerance.rtol,
            "precision": tolerance.precision,
            "scales": {name: list(scale) for name, scale in self.scales.items()},
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Bounds:
        """What `to_dict` gave."""
        tolerance = Tolerance(document["atol"], document["rtol"], precision=document["precision"])
        return cls(tolerance, document["scales"])

    def _scale(self, name: str, logged: np.ndarray) -> np.ndarray:
        scale = np.asarray(self.scales.get(name, (0.0,)))
        if scale.shape != logged.shape[1:]:
            scale = np.full(logged.shape[1:], np.median(scale) if scale.size else 0.0)
        return scale


def _scale(arrays: list[np.ndarray]) -> list[float]:
    arrays = [array for array in arrays if is_floating(array)]
    if not arrays:
        return []
    if len({array.shape[1] for array in arrays}) > 1:
        arrays = [array.reshape(-1, 1) for array in arrays]
    size = np.abs(np.concatenate(arrays).astype(np.float64))
    finite = np.isfinite(size)
    return [
        float(np.median(column[known])) if known.any() else 0.0
        for column, known in zip(size.T, finite.T, strict=True)
    ]
