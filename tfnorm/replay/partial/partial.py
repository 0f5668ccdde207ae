"""All that a replay adds up over calls: it merges with that of other calls, and is plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tfnorm.errors import InputError
from tfnorm.parity.ranking import Ranking
from tfnorm.replay.comparison.bounds import Bounds
from tfnorm.replay.comparison.compare import Compared
from tfnorm.replay.log.call import Call
from tfnorm.replay.partial.points import Points, place_of
from tfnorm.replay.partial.quality import Quality
from tfnorm.replay.partial.quantiles import Quantiles
from tfnorm.replay.partial.worst import Worst, WorstCall
from tfnorm.verify.judgement.comparison import FEWEST, MOST_AGREE
from tfnorm.verify.judgement.reference import AT_EQUAL_SHAPES

_REASONS = 20
_COUNTS = ("calls", "rows", "calls_different", "rows_different", "rows_changed")


Added: TypeAlias = "tuple[Call, Compared, np.ndarray | None]"
"""A call, its answer beside the model's, and the labels of its rows, NaN where one isn't known; or None."""


class Partial:
    """What some of a log's calls come to: any part of a log, on any thread or machine.

    Two of them merge to what one would be over the calls of both, in whatever order; only sums of floats
    round. What it may have differ by rounding is the same in both: `bounds`.

    Args:
        bounds: what is rounding.
        seed: decides which rows are kept for a plot.

    Attributes:
        calls, rows: how many requests and rows were compared.
        calls_different, rows_different: how many differ by more than rounding.
        rows_changed: how many rows differ at all.
        largest: the largest difference.
        quantiles: of the differences, a row each.
        worst: the requests that differ most.
        ranking: what it means for each request's ranking.
        logged, new: how well the logged and the new scores rank the labels; None without labels.
        points: some rows, with the logged and the new score.
        versions: the version that the log has for them, or "" -> how many calls, and how many that differ.
        problems: why calls can't be compared, and differ by that -> how many.
        unfit: why requests can't be given to the model -> how many.
        notes: what had to be done to give it a call -> how many.

    Example:

        >>> bounds = Bounds.from_dict({"atol": 1e-6, "rtol": 1e-5, "precision": None, "scales": {}})
        >>> part = Partial.from_dict(Partial(bounds).to_dict())
        >>> part.merge(Partial(bounds))
        >>> part.calls
        0
    """

    def __init__(self, bounds: Bounds, seed: int = 0):
        self.bounds = bounds
        self.calls = self.rows = 0
        self.calls_different = self.rows_different = self.rows_changed = 0
        self.largest = 0.0
        self.quantiles, self.worst, self.ranking = Quantiles(), Worst(), Ranking()
        self.points = Points(seed)
        self.logged: Quality | None = None
        self.new: Quality | None = None
        self.versions: dict[str, list[int]] = {}
        self.problems: dict[str, int] = {}
        self.unfit: dict[str, int] = {}
        self.notes: dict[str, int] = {}

    def add(self, calls: Sequence[Added], *, ranks: bool = True) -> None:
        """Add calls.

        Args:
            calls: the calls.
            ranks: whether the rows of each were one ranking.
        """
        if not calls:
            return
        for call, compared, _ in calls:
            self._add_call(call, compared)
        difference = np.concatenate([compared.difference for _, compared, _ in calls])
        self.rows += len(difference)
        self.rows_different += sum(
            int(compared.different.sum()) for _, compared, _ in calls if compared.differs
        )
        self.rows_changed += int(np.count_nonzero(difference))
        self.largest = max(self.largest, float(difference.max(initial=0.0)))
        self.quantiles.add(difference)
        self._add_scores([one for one in calls if one[1].logged is not None], ranks)

    def add_unfit(self, reason: str) -> None:
        """Count a call that can't be given to the model."""
        self._count(self.unfit, reason)

    def add_note(self, note: str) -> None:
        """Count a call that is given to the model as the note says."""
        self._count(self.notes, note)

    @property
    def one_way(self) -> bool:
        """Whether most scores are off the same way, by more than rounding: no rounding does that.

        It is told by the rows that are kept for a plot, whose scores are finite.
        """
        logged, votes = np.unique(self.points.logged, return_inverse=True)
        difference = self.points.new - self.points.logged
        # Rows that are logged alike are rounded alike: they have one vote.
        up = np.sign(np.bincount(votes, np.sign(difference), minlength=len(logged)))
        moved = up != 0
        if moved.sum() < max(FEWEST, len(logged) / 2):
            return False
        outwards = up * np.where(logged > 0, 1, -1)
        agree = max((way[moved] == side).mean() for way in (up, outwards) for side in (1, -1))
        size = np.abs(self.points.logged)
        unit = np.maximum(size, np.median(size)) * self.bounds.epsilon("float32")
        enough = AT_EQUAL_SHAPES * self.bounds.tolerance.widened
        return bool(agree >= MOST_AGREE and np.abs(difference).sum() > enough * unit.sum())

    @property
    def equal(self) -> bool:
        """Whether all that were compared are equal, but for rounding."""
        return not self.calls_different and not self.one_way

    def merge(self, other: Partial) -> None:
        """Add what another has.

        Raises:
            InputError: what is rounding is not the same in both.
        """
        if self.bounds.to_dict() != other.bounds.to_dict():
            raise InputError("two partial results have other bounds; accepted: the same in both")
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest = max(self.largest, other.largest)
        for part in ("quantiles", "worst", "ranking", "points"):
            getattr(self, part).merge(getattr(other, part))
        for part in ("logged", "new"):
            ours, theirs = getattr(self, part), getattr(other, part)
            if theirs is not None:
                if ours is None:
                    setattr(self, part, ours := Quality())
                ours.merge(theirs)
        for counts in ("problems", "unfit", "notes"):
            for reason, count in getattr(other, counts).items():
                self._count(getattr(self, counts), reason, count)
        for version, (calls, different) in other.versions.items():
            found = self.versions.setdefault(version, [0, 0])
            found[0] += calls
            found[1] += different

    def to_dict(self) -> dict[str, Any]:
        """It as plain data, as JSON has it but for infinity."""
        return {
            "bounds": self.bounds.to_dict(),
            **{name: getattr(self, name) for name in _COUNTS},
            "largest": self.largest,
            "quantiles": self.quantiles.to_dict(),
            "worst": self.worst.to_dict(),
            "ranking": self.ranking.to_dict(),
            "points": self.points.to_dict(),
            "logged": None if self.logged is None else self.logged.to_dict(),
            "new": None if self.new is None else self.new.to_dict(),
            "versions": {version: list(counts) for version, counts in self.versions.items()},
            "problems": dict(self.problems),
            "unfit": dict(self.unfit),
            "notes": dict(self.notes),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Partial:
        """What `to_dict` gave."""
        made = cls(Bounds.from_dict(document["bounds"]))
        for name in (*_COUNTS, "largest"):
            setattr(made, name, document[name])
        for name in ("problems", "unfit", "notes"):
            setattr(made, name, dict(document[name]))
        made.quantiles = Quantiles.from_dict(document["quantiles"])
        made.worst = Worst.from_dict(document["worst"])
        made.ranking = Ranking.from_dict(document["ranking"])
        made.points = Points.from_dict(document["points"])
        for name in ("logged", "new"):
            if document[name] is not None:
                setattr(made, name, Quality.from_dict(document[name]))
        made.versions = {version: list(counts) for version, counts in document["versions"].items()}
        return made

    def _add_call(self, call: Call, compared: Compared) -> None:
        self.calls += 1
        self.calls_different += compared.differs
        version = "" if call.spec.version is None else str(call.spec.version)
        by_version = self.versions.setdefault(version, [0, 0])
        by_version[0] += 1
        by_version[1] += compared.differs
        if compared.problem is not None:
            self._count(self.problems, compared.problem)
            self.largest = float("inf")
        if compared.differs:
            self.worst.add(
                WorstCall(
                    call.number,
                    call.key,
                    compared.rows,
                    int(compared.different.sum()),
                    float(compared.difference.max(initial=0.0)),
                    *compared.worst,
                    file=call.file,
                )
            )

    def _add_scores(self, calls: Sequence[Added], ranks: bool) -> None:
        """Those of calls that have them."""
        if not calls:
            return
        sizes = [compared.rows for _, compared, _ in calls]
        logged, new = (
            np.concatenate([getattr(compared, name) for _, compared, _ in calls])
            for name in ("logged", "new")
        )
        starts = np.cumsum(sizes) - sizes
        places = np.arange(len(logged)) - np.repeat(starts, sizes)
        of_files = [place_of(call.file, call.number) for call, _, _ in calls]
        numbers = np.repeat(np.array(of_files, np.uint64), sizes)
        finite = np.isfinite(logged) & np.isfinite(new)
        self.points.add(numbers[finite], places[finite], logged[finite], new[finite])
        if ranks:
            self.ranking.add(logged, new, sizes)
        for start, (_, compared, labels) in zip(starts, calls, strict=True):
            if labels is not None:
                if self.logged is None or self.new is None:
                    self.logged, self.new = Quality(), Quality()
                rows = slice(start, start + compared.rows)
                self.logged.add(labels, logged[rows])
                self.new.add(labels, new[rows])

    @staticmethod
    def _count(counts: dict[str, int], reason: str, more: int = 1) -> None:
        # A model's reasons may each have an id of their own.
        if reason not in counts and len(counts) >= _REASONS:
            reason = "for other reasons"
        counts[reason] = counts.get(reason, 0) + more
