"""Keras's activations in NumPy, of which a predictor gets the source of those that it needs."""

import math

import numpy as np


def celu(x, alpha=1.0):
    """x if x > 0, else alpha (exp(x / alpha) - 1)"""
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)


def clipped_relu(x, max_value=np.inf, negative_slope=0.0, threshold=0.0):
    """min(x, max_value) if x > threshold, else negative_slope (x - threshold)"""
    return np.where(x > threshold, np.minimum(x, max_value), negative_slope * (x - threshold))


def elu(x, alpha=1.0):
    """x if x > 0, else alpha (exp(x) - 1)"""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def exponential(x):
    """exp(x)"""
    return np.exp(x)


def gelu(x):
    """x (1 + erf(x / sqrt(2))) / 2"""
    erf = np.vectorize(math.erf, otypes=[x.dtype])
    return x * (1 + erf(x / math.sqrt(2))) / 2


def gelu_tanh(x):
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, an approximation of gelu"""
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def glu(x, axis=-1):
    """a sigmoid(b), where a and b are the halves of x"""
    a, b = np.split(x, 2, axis)
    return a * sigmoid(b)


def hard_shrink(x, threshold=0.5):
    """x if |x| > threshold, else 0"""
    return np.where(np.abs(x) > threshold, x, 0)


def hard_sigmoid(x):
    """x / 6 + 1/2, kept within 0 and 1"""
    return np.clip(x + 3, 0, 6) / 6


def hard_silu(x):
    """x hard_sigmoid(x)"""
    return x * hard_sigmoid(x)


def hard_tanh(x):
    """x, kept within -1 and 1"""
    return np.clip(x, -1, 1)


def leaky_relu(x, negative_slope=0.2):
    """x if x > 0, else negative_slope x"""
    return np.where(x > 0, x, negative_slope * x)


def log_sigmoid(x):
    """log(sigmoid(x))"""
    return -softplus(-x)


def log_softmax(x, axis=-1):
    """x - log(sum(exp(x)))"""
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def mish(x):
    """x tanh(softplus(x))"""
    return x * np.tanh(softplus(x))


def relu(x):
    """max(x, 0)"""
    return np.maximum(x, 0)


def relu6(x):
    """x, kept within 0 and 6"""
    return np.clip(x, 0, 6)


def selu(x):
    """1.0507 x if x > 0, else 1.7581 (exp(x) - 1)"""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def sigmoid(x):
    """1 / (1 + exp(-x))"""
    e = np.exp(-np.abs(x))  # of -|x|, so that nothing overflows
    return np.where(x >= 0, 1, e) / (1 + e)


def silu(x):
    """x sigmoid(x)"""
    return x * sigmoid(x)


def soft_shrink(x, threshold=0.5):
    """x - threshold if x > threshold, x + threshold if x < -threshold, else 0"""
    return x - np.clip(x, -threshold, threshold)


def softmax(x, axis=-1):
    """exp(x) / sum(exp(x))"""
    e = np.exp(x - x.max(axis, keepdims=True))  # the difference keeps exp from overflowing
    return e / e.sum(axis, keepdims=True)


def softplus(x):
    """log(1 + exp(x))"""
    return np.logaddexp(x, 0)


def softsign(x):
    """x / (1 + |x|)"""
    return x / (1 + np.abs(x))


def sparse_plus(x):
    """0 if x < -1, x if x > 1, else (x + 1)^2 / 4"""
    return np.where(x < 1, (np.clip(x, -1, 1) + 1) ** 2 / 4, x)


def sparse_sigmoid(x):
    """(x + 1) / 2, kept within 0 and 1"""
    return (np.clip(x, -1, 1) + 1) / 2


def squareplus(x, b=4):
    """(x + sqrt(x^2 + b)) / 2"""
    return (x + np.sqrt(x**2 + b)) / 2


def tanh(x):
    """tanh(x)"""
    return np.tanh(x)


def tanh_shrink(x):
    """x - tanh(x)"""
    return x - np.tanh(x)
