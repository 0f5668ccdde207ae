"""How far values are apart: in their own units, and in units in the last place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf

TENSOR_FLOAT_32 = "tensorfloat32"
"""What GPUs round the factors of float32 products to: a way to compute, not a type of tensors."""

# ml_dtypes has no types for it.
_finfo: Callable[..., Any] = ml_dtypes.finfo


def is_floating(array: np.ndarray) -> bool:
    """Whether the values are real floating-point numbers, bfloat16 included."""
    return array.dtype.kind in "fV" and tf.as_dtype(array.dtype).is_floating


def absolute_difference(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """|values - reference| in float64: 0 where both are NaN or the same infinity, inf where one is.

    Strings that are not the same are inf apart.
    """
    same = _same(values, reference)
    if same.all():
        return np.zeros(same.shape)
    if values.dtype.kind not in "biufcV":
        return np.where(same, 0.0, np.inf)
    kind = np.complex128 if values.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):
        difference = np.abs(values.astype(kind) - reference.astype(kind))
    if values.dtype.kind in "biu":
        # Large integers that differ may be one float64.
        difference = np.maximum(difference, 1.0)
    return np.where(same, 0.0, np.nan_to_num(difference, nan=np.inf, posinf=np.inf))


def ulp_distance(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How many representable numbers of their dtype lie between the two, as float64.

    inf where that says nothing: one of them is NaN or infinite, or they are unequal and no floats.
    """
    same = _same(values, reference)
    if same.all():
        return np.zeros(same.shape)
    if not is_floating(values):
        return np.where(same, 0.0, np.inf)
    first, second = _ordinal(values), _ordinal(reference)
    apart = np.maximum(first, second).view(np.uint64) - np.minimum(first, second).view(np.uint64)
    finite = np.isfinite(values) & np.isfinite(reference)
    return np.where(same, 0.0, np.where(finite, apart.astype(np.float64), np.inf))


def are_equal(values: np.ndarray, reference: np.ndarray) -> bool:
    """Whether two arrays have the same shape and values; a NaN equals a NaN."""
    values, reference = np.asarray(values), np.asarray(reference)
    return values.shape == reference.shape and bool(_same(values, reference).all())


def same_bits(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Where the two are the same to the last bit; any NaN is as good as another."""
    if not is_floating(values):
        return _same(values, reference)
    equal: np.ndarray = _bits(values) == _bits(reference)
    equal |= np.isnan(values) & np.isnan(reference)
    return equal


def epsilon(dtype: tf.DType | str) -> float:
    """The relative rounding of a floating or complex type; 0 for the others, which are exact."""
    if dtype == TENSOR_FLOAT_32:
        return 2.0**-10
    number = tf.as_dtype(dtype).base_dtype
    if number.is_complex:
        number = number.real_dtype
    return float(_finfo(number.as_numpy_dtype).eps) if number.is_floating else 0.0


def _same(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    equal: np.ndarray = values == reference
    if values.dtype.kind == "c" or is_floating(values):
        equal |= np.isnan(values) & np.isnan(reference)
    return equal


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(f"i{values.dtype.itemsize}")


def _ordinal(values: np.ndarray) -> np.ndarray:
    """Floats as int64 in the same order: neighbours are 1 apart, and both zeros are 0."""
    bits = _bits(values)
    lowest = np.iinfo(bits.dtype).min
    bits = bits.astype(np.int64)
    return np.where(bits < 0, lowest - bits, bits)
