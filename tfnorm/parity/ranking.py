"""What other scores mean for rankings, such as a request's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RankingResult:
    """What the new scores mean for the requests, each of which is one ranking.

    Attributes:
        requests: those of two rows or more.
        first_changed: of those, the share whose first place is another row.
        pairs_changed: the share of pairs of rows of a request that are in another order.
        tau: Kendall's tau-b of the two scores, the mean over the requests; None where none has one.
        unranked: requests with NaN among their scores, which are left out.
    """

    requests: int
    first_changed: float
    pairs_changed: float
    tau: float | None
    unranked: int


@dataclass
class Ranking:
    """How often two scores of each row rank the rows of a request otherwise, over all requests.

    Attributes:
        requests: those of two rows or more whose scores are numbers.
        first_changed: of those, how many have another row in the first place.
        pairs: of rows of one request.
        pairs_changed: of those, how many are in another order; a tie is an order too.
        ranked: requests in which neither ranking is one tie, so that it has a tau.
        tau: the sum of their Kendall's tau-b.
        unranked: requests that have NaN among their scores.
    """

    requests: int = 0
    first_changed: int = 0
    pairs: int = 0
    pairs_changed: int = 0
    ranked: int = 0
    tau: float = 0.0
    unranked: int = 0

    def add(self, scores: np.ndarray, new: np.ndarray) -> None:
        """Compare two scores of each row of a request, `[rows]` both."""
        count = len(scores)
        if count < 2:
            return
        if np.isnan(scores).any() or np.isnan(new).any():
            self.unranked += 1
            return
        self.requests += 1
        # The first of those in the first place: a server that sorts stably shows that one.
        self.first_changed += int(np.argmax(scores) != np.argmax(new))
        pairs = count * (count - 1) // 2
        self.pairs += pairs
        ties, new_ties, both, discordant = _pairs(scores, new)
        self.pairs_changed += discordant + ties + new_ties - 2 * both
        if ties < pairs and new_ties < pairs:
            concordant = pairs - ties - new_ties + both - discordant
            self.ranked += 1
            self.tau += (concordant - discordant) / float(
                np.sqrt(float(pairs - ties)) * np.sqrt(float(pairs - new_ties))
            )

    def merge(self, other: Ranking) -> None:
        """Add what another has counted."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def result(self) -> RankingResult | None:
        """What it comes to; None where nothing was ranked."""
        if not self.requests:
            return None
        return RankingResult(
            self.requests,
            self.first_changed / self.requests,
            self.pairs_changed / self.pairs,
            self.mean_tau,
            self.unranked,
        )

    @property
    def mean_tau(self) -> float | None:
        """Kendall's tau-b, the mean over the requests that have one; None where none has."""
        return self.tau / self.ranked if self.ranked else None

    def to_dict(self) -> dict[str, Any]:
        """It as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Ranking:
        """What `to_dict` gave."""
        return cls(**document)


def _pairs(x: np.ndarray, y: np.ndarray) -> tuple[int, int, int, int]:
    """Pairs that are tied in x, in y and in both, and those that x and y put in opposite orders.

    Source:
        Knight, 1966, A Computer Method for Calculating Kendall's Tau with Ungrouped Data.
    """
    if np.array_equal(x, y):
        x = np.sort(x)
        ties = _within(x[1:] == x[:-1])
        return ties, ties, ties, 0
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    same_x, same_y = x[1:] == x[:-1], y[1:] == y[:-1]
    by_y = np.sort(y)
    ties_y = by_y[1:] == by_y[:-1]
    discordant = 0 if (y[1:] >= y[:-1]).all() else _inversions(np.searchsorted(by_y, y))
    return _within(same_x), _within(ties_y), _within(same_x & same_y), discordant


def _within(same: np.ndarray) -> int:
    """Pairs within the runs of a sorted array, of which `same` says where one goes on."""
    if not same.any():
        return 0
    runs = np.diff(np.flatnonzero(np.concatenate([[True], ~same, [True]])))
    return int((runs * (runs - 1) // 2).sum())


def _inversions(ranks: np.ndarray) -> int:
    """Pairs of which the earlier is the larger, by merging sorted blocks of doubling size."""
    count, found, width = len(ranks), 0, 1
    place = np.arange(count)
    values = ranks.astype(np.int64)
    while width < count:
        # Each block's values lie above those of the block before it.
        keys = values + (place // width) * (count + 1)
        right = (place // width) % 2 == 1
        left_start = (place // width - 1) * width
        not_above = np.searchsorted(
            keys, values[right] + (place[right] // width - 1) * (count + 1), side="right"
        )
        found += int((left_start[right] + width - not_above).sum())
        width *= 2
        values = values[np.lexsort((values, place // width))]
    return found
