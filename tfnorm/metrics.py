"""How well scores rank clicks."""

from __future__ import annotations

import numpy as np

from tfnorm.errors import InputError


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """How often an example that was clicked has a higher score than one that wasn't.

        AUC = P(score of a positive > score of a negative) + P(the two are equal) / 2

    It is exact; `keras.metrics.AUC` approximates it by 200 thresholds.

    Args:
        labels: `[N]`, 1 (positive) or 0 (negative).
        scores: `[N]`, of any scale.

    Returns:
        A number from 0 to 1; 0.5 is what random scores have.

    Raises:
        InputError: the labels are all the same, or some score is NaN.

    Example:

        >>> auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    if np.isnan(scores).any():
        raise InputError(f"{np.isnan(scores).sum()} of {len(scores)} scores are NaN: no AUC")
    positive = np.asarray(labels) > 0.5
    positives, negatives = positive.sum(), (~positive).sum()
    if not positives or not negatives:
        raise InputError(f"{positives} positive and {negatives} negative labels: no AUC")
    _, tie, tied = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(tied) - (tied - 1) / 2)[tie]
    wins = rank[positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))
