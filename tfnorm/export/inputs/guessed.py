"""Inputs to try a model on when there are no examples."""

from __future__ import annotations

import numpy as np

from tfnorm.export.structure import Structure, tables_of
from tfnorm.export.tracing.interface import Interface

_ROWS = 16
_FREE_AXIS = 3


def random_features(called: Interface, found: Structure) -> dict[str, np.ndarray] | None:
    """Features that the model should take; None where no guess is possible, as for strings."""
    generator = np.random.default_rng(0)
    features: dict[str, np.ndarray] = {}
    for name, spec in called.declared.items():
        if spec.shape.rank is None:
            return None
        shape = [_ROWS, *(size or _FREE_AXIS for size in spec.shape[1:])]
        if spec.dtype.is_floating:
            values: np.ndarray = generator.normal(size=shape)
        elif spec.dtype.is_integer or spec.dtype.is_bool:
            values = generator.integers(0, _rows(name, called, found), shape)
        else:
            return None
        features[name] = values.astype(spec.dtype.as_numpy_dtype)
    return features


def _rows(name: str, called: Interface, found: Structure) -> int:
    """The rows of the smallest embedding table that reads the input; 2 if none does."""
    return min(tables_of(found, called.tensors.get(name)), default=2)
