"""What other scores mean for rankings, such as a request's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def add(self, scores: np.ndarray, new: np.ndarray, sizes: Sequence[int] | None = None) -> None:
        """Compare two scores of each row, `[rows]` both.

        Args:
            scores: the one.
            new: the other.
            sizes: how many rows each request has, which follow each other; None for those of one.
        """
        counts = np.array([len(scores)] if sizes is None else sizes)
        request = np.repeat(np.arange(len(counts)), counts)
        nan = np.isnan(scores) | np.isnan(new)
        known = np.bincount(request[nan], minlength=len(counts)) == 0
        self.unranked += int((~known & (counts > 1)).sum())
        known &= counts > 1
        scores, new, counts = scores[known[request]], new[known[request]], counts[known]
        if not len(counts):
            return
        self.requests += len(counts)
        self.first_changed += int((_first(scores, counts) != _first(new, counts)).sum())
        pairs = counts * (counts - 1) // 2
        ties, new_ties, both, discordant = _pairs(scores, new, counts)
        self.pairs += int(pairs.sum())
        self.pairs_changed += int((discordant + ties + new_ties - 2 * both).sum())
        ranked = (ties < pairs) & (new_ties < pairs)
        across = np.sqrt((pairs - ties)[ranked]) * np.sqrt((pairs - new_ties)[ranked])
        concordant = pairs - ties - new_ties + both - discordant
        self.ranked += int(ranked.sum())
        self.tau += float(((concordant - discordant)[ranked] / across).sum())

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


def _first(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The row in each request's first place; of equal ones the first, as a server shows that sorts stably."""
    starts = np.cumsum(counts) - counts
    best = np.repeat(np.maximum.reduceat(scores, starts), counts)
    places = np.flatnonzero(scores == best)
    first: np.ndarray = places[np.searchsorted(places, starts)]
    return first


def _pairs(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of each request, pairs that are tied in x, in y and in both, and those that x and y order otherwise.

    Source:
        Knight, 1966, A Computer Method for Calculating Kendall's Tau with Ungrouped Data.
    """
    request = np.repeat(np.arange(len(counts)), counts)
    together = request[1:] == request[:-1]
    by_y = np.lexsort((y, request))
    tied_y = together & (y[by_y][1:] == y[by_y][:-1])
    # A rank is the place of the first that is equal, so that those of a request lie above those before it.
    ranks = np.empty(len(y), np.int64)
    ranks[by_y] = np.maximum.accumulate(
        np.where(np.concatenate([[True], ~tied_y]), np.arange(len(y)), 0)
    )
    order = np.lexsort((ranks, x, request))
    x, ranks = x[order], ranks[order]
    tied_x = together & (x[1:] == x[:-1])
    both = tied_x & (ranks[1:] == ranks[:-1])
    ties = (_within(tied, request) for tied in (tied_x, tied_y, both))
    return *ties, _inversions(ranks, request)


def _within(same: np.ndarray, request: np.ndarray) -> np.ndarray:
    """Of each request, pairs within the runs of sorted rows, of which `same` says where one goes on."""
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    runs = np.diff(starts, append=len(request))
    return _counted(request[starts], runs * (runs - 1) // 2, request)


def _inversions(ranks: np.ndarray, request: np.ndarray) -> np.ndarray:
    """Of each request, pairs of which the earlier is the larger, by merging blocks of doubling size."""
    count, width = len(ranks), 1
    found = np.zeros(request[-1] + 1, np.int64)
    place = np.arange(count)
    values = ranks
    while width < count and (values[1:] < values[:-1]).any():
        # Each block's values lie above those of the block before it.
        keys = values + (place // width) * (count + 1)
        right = (place // width) % 2 == 1
        left_start = (place // width - 1) * width
        not_above = np.searchsorted(
            keys, values[right] + (place[right] // width - 1) * (count + 1), side="right"
        )
        found += _counted(request[values[right]], left_start[right] + width - not_above, request)
        width *= 2
        values = values[np.lexsort((values, place // width))]
    return found


def _counted(of: np.ndarray, pairs: np.ndarray, request: np.ndarray) -> np.ndarray:
    """The sum of the pairs of each request."""
    return np.bincount(of, pairs, minlength=request[-1] + 1).astype(np.int64)
