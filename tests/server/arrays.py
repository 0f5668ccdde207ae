"""Arrays of every kind that goes between processes."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

every_array = pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6).reshape(2, 3).T,
        np.arange(10)[::3],
        np.array([1, -2], ml_dtypes.bfloat16),
        np.array([True, False]),
        np.array([[b"a", b""], [b"\0\xff", b"long" * 100]], object),
        np.array(b"alone", object),
        np.zeros((2, 0), object),
        np.array(7, np.int8),
        np.zeros((0, 3), np.float64),
        np.array(3 + 4j, np.complex64),
        np.array([1], tf.qint8.as_numpy_dtype),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
