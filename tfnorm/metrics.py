"""How well scores rank clicks."""

from __future__ import annotations

import numpy as np

from tfnorm.errors import InputError

__all__ = ["auc", "gauc", "has_gauc", "log_loss", "user_aucs"]


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
    rank = _ranks_within(np.zeros(len(positive), int), np.asarray(scores))
    wins = rank[positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def auc_or_none(labels: np.ndarray | None, scores: np.ndarray) -> float | None:
    """The AUC; None where there are no labels, or they are all the same, or some score is NaN.

    Args:
        labels: `[N]`, 1 (positive) or 0 (negative); None for none.
        scores: `[N]`, of any scale.

    Example:

        >>> auc_or_none(np.array([1, 1]), np.array([0.1, 0.4])) is None
        True
    """
    if labels is None or np.isnan(scores).any() or len(np.unique(np.asarray(labels) > 0.5)) < 2:
        return None
    return auc(labels, scores)


def gauc(labels: np.ndarray, scores: np.ndarray, users: np.ndarray) -> float:
    """How well a model ranks what each user is shown: their AUCs, weighted by their impressions.

        GAUC = sum_u n_u AUC_u / sum_u n_u

    over the users u who have clicked some of their n_u impressions, but not all: nobody else has an AUC. A
    score that only tells active users from others raises the AUC, and not the GAUC.

    Args:
        labels: `[N]`, 1 (positive) or 0 (negative).
        scores: `[N]`, of any scale.
        users: `[N]`, whose impression each is.

    Returns:
        A number from 0 to 1; 0.5 is what random scores have.

    Raises:
        InputError: no user has labels of both kinds, or some score is NaN.

    Example:

        >>> labels, scores = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.4, 0.8, 0.7, 0.2])
        >>> gauc(labels, scores, users=np.array([1, 1, 2, 2, 3]))
        0.5

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978, section 6.2.
    """
    aucs, impressions = user_aucs(labels, scores, users)
    return float(np.average(aucs, weights=impressions))


def user_aucs(
    labels: np.ndarray, scores: np.ndarray, users: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The AUC of each user with labels of both kinds, and how many impressions each has.

    Args:
        labels: `[N]`, 1 (positive) or 0 (negative).
        scores: `[N]`, of any scale.
        users: `[N]`, whose impression each is.

    Returns:
        `[U]` from 0 to 1, and `[U]`, in the order of the users that count.

    Raises:
        InputError: no user has labels of both kinds, or some score is NaN.

    Example:

        >>> labels, scores = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.4, 0.8, 0.7, 0.2])
        >>> [found.tolist() for found in user_aucs(labels, scores, users=np.array([1, 1, 2, 2, 3]))]
        [[1.0, 0.0], [2, 2]]
    """
    if np.isnan(scores).any():
        raise InputError(f"{np.isnan(scores).sum()} of {len(scores)} scores are NaN: no GAUC")
    positive = np.asarray(labels) > 0.5
    _, user = np.unique(users, return_inverse=True)
    impressions = np.bincount(user)
    positives = np.bincount(user, weights=positive)
    negatives = impressions - positives
    counted = (positives > 0) & (negatives > 0)
    if not counted.any():
        raise InputError(f"none of {len(impressions)} users has both labels: no GAUC")
    rank = _ranks_within(user, np.asarray(scores))
    wins = np.bincount(user, weights=rank * positive) - positives * (positives + 1) / 2
    return wins[counted] / (positives * negatives)[counted], impressions[counted]


def has_gauc(labels: np.ndarray, users: np.ndarray) -> bool:
    """Whether some user has labels of both kinds.

    Args:
        labels: `[N]`, 1 or 0.
        users: `[N]`, whose impression each is.

    Example:

        >>> has_gauc(np.array([0, 1]), users=np.array([1, 2]))
        False
    """
    positive = np.asarray(labels) > 0.5
    return bool(np.intersect1d(np.asarray(users)[positive], np.asarray(users)[~positive]).size)


def log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """The mean log loss of an example: how far its score is from its label.

        -mean of y log(p) + (1 - y) log(1 - p),    p kept 1e-7 away from 0 and 1, as Keras does

    Args:
        labels: `[N]`, 1 or 0.
        scores: `[N]`, probabilities from 0 to 1.

    Returns:
        A number from 0: 0 if all scores are certain and right, and log 2 if all are 0.5.

    Raises:
        InputError: some score is not from 0 to 1.

    Example:

        >>> round(log_loss(np.array([0, 1]), np.array([0.5, 0.5])), 4)
        0.6931
    """
    scores = np.asarray(scores, np.float64)
    outside = ~((scores >= 0) & (scores <= 1))
    if outside.any():
        raise InputError(
            f"{outside.sum()} of {len(scores)} scores are no probabilities, such as "
            f"{scores[outside][0]}: no log loss"
        )
    p = np.clip(scores, 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(np.asarray(labels) > 0.5, np.log(p), np.log1p(-p))))


def _ranks_within(group: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The rank of each score in its group, from 1; equal ones share their mean rank."""
    order = np.lexsort((scores, group))
    group, scores = group[order], scores[order]
    # Not by differences: that of two infinities is no number.
    ties = np.r_[True, (group[1:] != group[:-1]) | (scores[1:] != scores[:-1])]
    tie = np.cumsum(ties) - 1
    tied = np.bincount(tie)
    before = np.concatenate([[0], np.cumsum(tied)])[:-1]
    starts = np.searchsorted(group, group)
    rank = np.empty(len(order))
    rank[order] = (before + (tied + 1) / 2)[tie] - starts
    return rank
