"""The formulas in NumPy and float64, as the papers write them: what the tests compare with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def moments(x, axis=-1, mask=None):
    """Count, mean and biased variance of each channel; 0 where a channel has no value."""
    x = np.asarray(x, np.float64)
    counted = np.True_ if mask is None else np.asarray(mask, bool)[..., None]
    values = np.ma.array(x, mask=~np.broadcast_to(counted, x.shape))
    others = tuple(other for other in range(x.ndim) if other != axis % x.ndim)
    mean, variance = (np.ma.filled(f(values, others), 0.0) for f in (np.ma.mean, np.ma.var))
    return values.count(others), mean, variance


def normalize(x, mean, variance, gamma=1.0, beta=0.0, *, epsilon, axis=-1):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    mean, variance, gamma, beta = (
        along(v, np.ndim(x), axis) for v in (mean, variance, gamma, beta)
    )
    return gamma * (np.asarray(x, np.float64) - mean) / np.sqrt(variance + epsilon) + beta


def dice(x, mean, variance, alpha=0.0, *, epsilon, axis=-1):
    """p x + (1 - p) alpha x, p = sigmoid((x - mean) / sqrt(variance + epsilon))."""
    p = 1 / (1 + np.exp(-normalize(x, mean, variance, epsilon=epsilon, axis=axis)))
    return p * x + (1 - p) * along(alpha, np.ndim(x), axis) * x


def normalize_gradients(x, dy, gamma, *, epsilon):
    """dx, dgamma and dbeta of `[m, C]` normalized by its own moments: section 3 of the paper."""
    x, dy = np.asarray(x, np.float64), np.asarray(dy, np.float64)
    r = 1 / np.sqrt(x.var(0) + epsilon)
    x_hat = (x - x.mean(0)) * r
    dgamma, dbeta = (dy * x_hat).sum(0), dy.sum(0)
    return gamma * r * (dy - dbeta / len(x) - x_hat * dgamma / len(x)), dgamma, dbeta


def dice_gradients(x, dy, alpha, *, epsilon):
    """dx and dalpha of `[m, C]` rectified by its own moments."""
    x, dy = np.asarray(x, np.float64), np.asarray(dy, np.float64)
    x_hat = normalize(x, x.mean(0), x.var(0), epsilon=epsilon)
    p = 1 / (1 + np.exp(-x_hat))
    through_p = (1 - alpha) * x * dy * p * (1 - p)
    dx, *_ = normalize_gradients(x, through_p, 1.0, epsilon=epsilon)
    return dx + dy * (p + (1 - p) * alpha), (dy * (1 - p) * x).sum(0)


def along(v, rank, axis):
    """`[C]` along `axis` of a tensor of `rank` dimensions; a scalar as it is."""
    v = np.asarray(v, np.float64)
    if v.ndim == 0:
        return v
    shape = [1] * rank
    shape[axis] = -1
    return v.reshape(shape)


def ghost_batches(x, size, mask=None):
    """The parts that are normalized apart: consecutive rows, the last part being what is left."""
    if mask is not None:
        mask = np.broadcast_to(mask, x.shape[:-1])
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        yield x[rows], None if mask is None else mask[rows]


def renorm_correction(mean, variance, running_mean, running_stddev, *, epsilon, **clipping):
    """r and d of batch renormalization, algorithm 1 of the paper."""
    sigma = np.maximum(running_stddev, np.sqrt(epsilon))
    r = np.sqrt(variance + epsilon) / sigma
    d = (mean - running_mean) / sigma
    dmax = clipping.get("dmax", np.inf)
    r = np.clip(r, clipping.get("rmin", -np.inf), clipping.get("rmax", np.inf))
    return r, np.clip(d, -dmax, dmax)


class MovingStatistics:
    """A moving mean and variance that start at 0 and 1; a channel without values keeps its own."""

    def __init__(self, channels, momentum=0.99, *, warmup=False, unbiased=False):
        self.mean = np.zeros(channels)
        self.variance = np.ones(channels)
        self.updates = np.zeros(channels)
        self.momentum = momentum
        self.warmup = warmup
        self.unbiased = unbiased

    def update(self, count, mean, variance):
        if self.unbiased:
            variance = variance * count / np.maximum(count - 1, 1)
        if self.momentum is None:
            keep = self.updates / (self.updates + 1)
        elif self.warmup:
            keep = np.minimum(self.momentum, (1 + self.updates) / (10 + self.updates))
        else:
            keep = self.momentum
        seen = count > 0
        self.mean = np.where(seen, keep * self.mean + (1 - keep) * mean, self.mean)
        self.variance = np.where(seen, keep * self.variance + (1 - keep) * variance, self.variance)
        self.updates = self.updates + seen


def gradient(f: Callable[[np.ndarray], float], x, step=1e-5):
    """The gradient of `f` at `x` by central differences."""
    x = np.array(x, np.float64)
    slopes = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        at = x[i]
        x[i] = at + step
        above = f(x)
        x[i] = at - step
        slopes[i] = (above - f(x)) / (2 * step)
        x[i] = at
    return slopes


def assert_close(actual, expected, tolerance=1e-5, err_msg=""):
    """Equal but for rounding, which counts against the largest value, or 1 if that is larger."""
    expected = np.asarray(expected, np.float64)
    largest = max(1.0, np.max(np.abs(expected), initial=0.0))
    np.testing.assert_allclose(
        np.asarray(actual, np.float64), expected, rtol=0, atol=tolerance * largest, err_msg=err_msg
    )
