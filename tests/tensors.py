"""An array of each type that TensorFlow sends."""

import numpy as np
import tensorflow as tf

BRAIN = tf.bfloat16.as_numpy_dtype
ARRAYS = [
    np.array([[1.5, -0.0, np.inf], [np.nan, 1e-45, -3.4e38]], np.float32),
    np.array(np.pi),
    np.array([0.1, -2, 65504], np.float16),
    np.array([[0.1], [-2]], BRAIN),
    np.array([-128, 127], np.int8),
    np.array([-(2**15), 2**15 - 1], np.int16),
    np.array([[-(2**31)], [2**31 - 1]], np.int32),
    np.array([-(2**63), 2**63 - 1], np.int64),
    np.array([0, 255], np.uint8),
    np.array([0, 2**16 - 1], np.uint16),
    np.array([0, 2**32 - 1], np.uint32),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([True, False]),
    np.array([[b"", b"\x00\xff"]], object),
    np.array([1 + 2j, -3.5j], np.complex64),
    np.array(1 - 1j, np.complex128),
    np.zeros((0, 4), np.float32),
    np.arange(12, dtype=np.float32).reshape(3, 4).T,
]
