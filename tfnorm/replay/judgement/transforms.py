"""Are logged scores a function of the model's? Logits, probabilities, calibrated and rounded ones."""

from __future__ import annotations

import numpy as np

_FEWEST = 8
"""Rows for a function of two numbers; for one that is only monotone, four times as many."""
_TOLERANCE = 2e-5
_EPSILONS = 4 * float(np.finfo(np.float32).eps)
"""Of the largest score; a constant that is smaller is none, but rounding."""
_DIGITS = range(1, 8)
_LEFT = 0.1
"""The share of the largest difference that a function which was fitted may leave: noise leaves most of it."""
_BENT = 2
"""How far scores must be off a line, in distances to the next, for their order to tell of a function."""


def transformed(logged: np.ndarray, new: np.ndarray) -> str | None:
    """How logged scores come from the model's, in words; None where they don't, or are too few.

    Args:
        logged, new: `[rows]`, of the same rows.
    """
    known = np.isfinite(logged) & np.isfinite(new)
    x, y = new[known], logged[known]
    if len(np.unique(y)) < _FEWEST or len(np.unique(x)) < _FEWEST or not (x != y).any():
        return None
    return _named(x, y) or _rounded(x, y) or _linear(x, y) or _monotone(x, y)


def _named(x: np.ndarray, y: np.ndarray) -> str | None:
    """Functions without a number of their own; each is looked at where it loses no digits."""
    with np.errstate(over="ignore"):
        ways = (
            ("the log has logits, the model gives probabilities", _sigmoid(y), x),
            ("the log has probabilities, the model gives logits", y, _sigmoid(x)),
            ("the log has 1 - score", y, 1 - x),
            ("the log has the negative of the score", y, -x),
            ("the log has the logarithm of the score", np.exp(y), x),
            ("the log has the exponential of the score", y, np.exp(x)),
        )
    return next((said for said, one, other in ways if _same(one, other)), None)


def _rounded(x: np.ndarray, y: np.ndarray) -> str | None:
    single = y.astype(np.float32)
    for digits in _DIGITS:
        if np.array_equal(single, np.round(y, digits).astype(np.float32)):
            unit = 10.0**-digits
            nearest = (np.abs(x - y) <= 0.5001 * unit + _TOLERANCE * np.abs(y)).all()
            return f"the log has the scores rounded to {digits} decimals" if nearest else None
    return None


def _linear(x: np.ndarray, y: np.ndarray) -> str | None:
    """a score + b, of the score or of its logit, and that of what is logged."""
    ways = [("the log has {}", x, y, _identity)]
    if _inside(x) and _inside(y):
        ways.append(("the log's logit is {}, of the model's logit", _logit(x), _logit(y), _sigmoid))
    elif _inside(y):
        ways.append(("the log has the sigmoid of {}", x, _logit(y), _sigmoid))
    elif _inside(x):
        ways.append(("the log has {}, of the model's logit", _logit(x), y, _identity))
    for said, one, other, back in ways:
        # In saturated scores a logit has no digits left.
        kept = np.abs(one) < 7 if back is _sigmoid or one is not x else np.ones(len(one), bool)
        if len(np.unique(one[kept])) < _FEWEST:
            continue
        a, b = np.polyfit(one[kept], other[kept], 1)
        found, logged = back(a * one[kept] + b), back(other[kept])
        left = np.abs(found - logged).max() / np.abs(x - y).max()
        if a and left < _LEFT and _same(found, logged, 5):
            added = f" {'-' if b < 0 else '+'} {abs(b):.6g}"
            none = abs(b) <= _EPSILONS * np.abs(other[kept]).max()
            return said.format(f"{a:.6g} x score{'' if none else added}")
    return None


def _monotone(x: np.ndarray, y: np.ndarray) -> str | None:
    if min(len(np.unique(x)), len(np.unique(y))) < 4 * _FEWEST:
        return None
    # By the score, and of equal scores by what was logged: rounding may have made them equal.
    order = np.lexsort((y, x))
    steps = np.diff(y[order])
    close = _TOLERANCE * np.maximum(np.abs(y).max(), 1e-9)
    a, b = np.polyfit(x, y, 1)
    if np.median(np.abs(a * x + b - y)) < _BENT * np.median(np.diff(np.sort(y))):
        return None  # Few rows stay in order under any noise.
    for sign, said in ((1, "rises with"), (-1, "falls with")):
        if (sign * steps >= -close).all() and np.ptp(y) > 1000 * close:
            return (
                f"what is logged {said} the score, the same for all rows: a monotone function of it"
            )
    return None


def _same(one: np.ndarray, other: np.ndarray, times: float = 1) -> bool:
    """Whether they are equal, but for rounding, and more than one value."""
    with np.errstate(invalid="ignore"):
        scale = np.maximum(np.abs(other), np.median(np.abs(other)))
        near: bool = bool((np.abs(one - other) <= times * _TOLERANCE * scale).all())
    return near and bool(np.ptp(one) > 100 * _TOLERANCE * float(np.median(scale)))


def _inside(values: np.ndarray) -> bool:
    return bool(((values > 0) & (values < 1)).all())


def _identity(values: np.ndarray) -> np.ndarray:
    return values


def _sigmoid(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        found: np.ndarray = 1 / (1 + np.exp(-values))
    return found


def _logit(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.log(values) - np.log1p(-values)
    return found
