"""Quantiles of differences in a stream of any length, to a stated relative error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

ERROR = 0.01
"""Of a quantile, relative to it."""


class Quantiles:
    """Counts of numbers from 0 on, in buckets that are each 2% wide.

        bucket of x = ceil(log(x) / log(gamma)),    gamma = (1 + ERROR) / (1 - ERROR)

    A quantile is told as the middle of its bucket, which is within `ERROR` of it, relatively; 0 and infinity
    are counted apart, and are exact. Two of them merge without loss, in any order.

    Source:
        Masson, Rim and Lee, 2019, DDSketch, https://arxiv.org/abs/1908.10693.
    """

    _gamma = (1 + ERROR) / (1 - ERROR)

    def __init__(self) -> None:
        self.count = self._zeros = self._infinite = 0
        self._buckets: dict[int, int] = {}

    def add(self, values: np.ndarray) -> None:
        """Count the numbers, of any shape."""
        values = values.reshape(-1)
        self.count += len(values)
        moved = values[values > 0]
        self._zeros += len(values) - len(moved)
        if not len(moved):
            return
        finite = moved[np.isfinite(moved)]
        self._infinite += len(moved) - len(finite)
        places = np.ceil(np.log(finite) / np.log(self._gamma)).astype(int)
        for place, more in zip(*np.unique(places, return_counts=True), strict=True):
            self._buckets[int(place)] = self._buckets.get(int(place), 0) + int(more)

    def quantile(self, q: float) -> float:
        """The number that a share `q` of all are not above; 0 where there are none."""
        rank = q * (self.count - 1)
        passed = self._zeros
        if rank < passed or not self.count:
            return 0.0
        for place in sorted(self._buckets):
            passed += self._buckets[place]
            if rank < passed:
                return float(2 * self._gamma**place / (self._gamma + 1))
        return float("inf")

    def merge(self, other: Quantiles) -> None:
        """Add what another has counted."""
        self.count += other.count
        self._zeros += other._zeros
        self._infinite += other._infinite
        for place, more in other._buckets.items():
            self._buckets[place] = self._buckets.get(place, 0) + more

    def to_dict(self) -> dict[str, Any]:
        """It as plain data."""
        return {
            "zeros": self._zeros,
            "infinite": self._infinite,
            "buckets": [[place, self._buckets[place]] for place in sorted(self._buckets)],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Quantiles:
        """What `to_dict` gave."""
        made = cls()
        made._zeros, made._infinite = document["zeros"], document["infinite"]
        made._buckets = dict(document["buckets"])
        made.count = made._zeros + made._infinite + sum(made._buckets.values())
        return made
