"""AUC and log loss of a stream of any length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_BITS = 20
_SIZE = 1 << _BITS


class Quality:
    """How well scores rank clicks, counted in buckets of scores.

    The AUC is that of the scores, each in the place of its bucket: the leading 20 bits of its float32, as an
    integer in the order of the numbers. Within a bucket (0.05% of the score wide) pairs of a positive and a
    negative are counted as ties, so that the exact AUC is at most `error` away:

        error = sum_b p_b n_b / (2 P N)

    for p_b positives and n_b negatives in bucket b, P and N in all. The log loss is exact, as
    `tfnorm.metrics.log_loss` has it. Two of them merge without loss, in any order.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((2, _SIZE), np.int64)
        self._loss = 0.0
        self.rows = self.outside = self.nan = 0

    def add(self, labels: np.ndarray, scores: np.ndarray) -> None:
        """Count rows: labels above 0.5 are positive, rows whose label is NaN are left out."""
        known = ~np.isnan(labels)
        labels, scores = labels[known] > 0.5, scores[known].astype(np.float64)
        self.rows += len(labels)
        numbers = ~np.isnan(scores)
        self.nan += int((~numbers).sum())
        labels, scores = labels[numbers], scores[numbers]
        np.add.at(self._counts, (labels.astype(int), _buckets(scores)), 1)
        inside = (scores >= 0) & (scores <= 1)
        self.outside += int((~inside).sum())
        p = np.clip(scores[inside], 1e-7, 1 - 1e-7)
        self._loss -= float(np.where(labels[inside], np.log(p), np.log1p(-p)).sum())

    @property
    def auc(self) -> float | None:
        """The AUC; None where the labels are all the same, or a score is NaN."""
        negatives, positives = self._counts
        pairs = float(positives.sum()) * float(negatives.sum())
        if not pairs or self.nan:
            return None
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + negatives / 2)).sum() / pairs)

    @property
    def error(self) -> float | None:
        """How far the exact AUC may be away; None where there is none."""
        if self.auc is None:
            return None
        negatives, positives = self._counts
        same = float((positives.astype(np.float64) * negatives).sum())
        return same / (2 * float(positives.sum()) * float(negatives.sum()))

    @property
    def log_loss(self) -> float | None:
        """The mean surprise; None where some score is no probability, or there are no rows."""
        if not self.rows or self.outside or self.nan:
            return None
        return self._loss / self.rows

    def merge(self, other: Quality) -> None:
        """Add what another has counted."""
        # What has come from another process may be read-only.
        self._counts = self._counts + other._counts
        self._loss += other._loss
        self.rows += other.rows
        self.outside += other.outside
        self.nan += other.nan

    def to_dict(self) -> dict[str, Any]:
        """It as plain data."""
        found = np.flatnonzero(self._counts.any(axis=0))
        return {
            "buckets": found.tolist(),
            "negatives": self._counts[0, found].tolist(),
            "positives": self._counts[1, found].tolist(),
            "loss": self._loss,
            "rows": self.rows,
            "outside": self.outside,
            "nan": self.nan,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Quality:
        """What `to_dict` gave."""
        made = cls()
        made._counts[:, document["buckets"]] = document["negatives"], document["positives"]
        made._loss, made.rows = document["loss"], document["rows"]
        made.outside, made.nan = document["outside"], document["nan"]
        return made


def _buckets(scores: np.ndarray) -> np.ndarray:
    """The bucket of each score, in the order of the scores."""
    with np.errstate(over="ignore"):
        single = scores.astype(np.float32) + np.float32(0)  # Both zeros are one.
    bits = single.view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, -(2**31) - bits, bits) + 2**31
    places: np.ndarray = ordered >> (32 - _BITS)
    return places
