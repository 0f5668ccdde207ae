"""The requests that differ most, of any number."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 10


@dataclass(frozen=True)
class WorstCall:
    """A request that differs.

    Attributes:
        number: of the call in the log.
        key: what the log itself calls it; None where it has no name for it.
        rows: how many it has.
        rows_different: how many of them differ by more than rounding.
        difference: the largest.
        row: the row that has it, and what was logged and is scored there.
        logged, new: of the output that differs, the value at which it does; None of what is no number.
        file: the one that it is in, of a log of several; None of a log of one.
    """

    number: int
    key: str | None
    rows: int
    rows_different: int
    difference: float
    row: int
    logged: float | None
    new: float | None
    file: str | None = None


class Worst:
    """The calls with the largest differences, at most `KEPT`; of equal ones the earliest."""

    def __init__(self, calls: Iterable[WorstCall] = ()):
        self._kept: list[WorstCall] = []
        for call in calls:
            self.add(call)

    def add(self, call: WorstCall) -> None:
        """Keep it if it is one of the worst."""
        if len(self._kept) < KEPT or _place(call) < _place(self._kept[-1]):
            insort(self._kept, call, key=_place)
            del self._kept[KEPT:]

    def merge(self, other: Worst) -> None:
        """Keep the worst of both."""
        for call in other.calls():
            self.add(call)

    def calls(self) -> list[WorstCall]:
        """They, the worst first."""
        return list(self._kept)

    def to_dict(self) -> list[dict[str, Any]]:
        """It as plain data."""
        return [asdict(call) for call in self.calls()]

    @classmethod
    def from_dict(cls, document: Iterable[Mapping[str, Any]]) -> Worst:
        """What `to_dict` gave."""
        return cls(WorstCall(**call) for call in document)


def _place(call: WorstCall) -> tuple[float, str, int]:
    """What the calls are kept in the order of."""
    return -call.difference, call.file or "", call.number
