"""The compositions as rows of a table: the worst first, and those that are alike in one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfnorm.verify.results import ROUNDING, CompositionResult, InvarianceResult


@dataclass(frozen=True)
class Row:
    """Compositions in which the same came out.

    Attributes:
        name: the first, and how many more.
        sizes: their batch sizes.
        moved: how many examples moved, or rounded.
        largest: how far at most.
        ulp: the same in units in the last place.
        results: the compositions.
    """

    name: str
    sizes: str
    moved: str
    largest: str
    ulp: str
    results: list[CompositionResult]

    @property
    def passed(self) -> bool:
        """Whether they passed."""
        return self.results[0].passed


def rows(report: InvarianceResult) -> list[Row]:
    """The compositions, the worst first, those in one row of which the same is told."""
    groups: dict[tuple[str, str, str, str], list[CompositionResult]] = {}
    for result in worst_first(report):
        told = (
            rows_moved(result, report.examples),
            move(result.max_abs_diff),
            ulps(result.max_ulp),
            # Parity is another question.
            "parity" if result.kind == "parity" else result.verdict,
        )
        groups.setdefault(told, []).append(result)
    return [
        _row(moved, largest, ulp, results) for (moved, largest, ulp, _), results in groups.items()
    ]


def worst_first(report: InvarianceResult) -> list[CompositionResult]:
    """The compositions, those that failed and moved most before the others."""
    return sorted(report.compositions, key=lambda r: (r.passed, -r.max_abs_diff, -r.rows_changed))


def rows_moved(result: CompositionResult, examples: int) -> str:
    """How many examples moved; those that only round have not."""
    if result.passed and result.verdict == ROUNDING:
        return f"{result.rows_changed:,} rounded"
    return f"{result.rows_changed:,} / {examples:,}"


def move(difference: float) -> str:
    """A difference in a table."""
    if not math.isfinite(difference):
        return "-"
    return "0" if difference == 0 else f"{difference:.1e}"


def ulps(count: int | None) -> str:
    """Units in the last place in a table."""
    return f"{count:,}" if count is not None and count < 1_000_000 else "-"


def _row(moved: str, largest: str, ulp: str, results: list[CompositionResult]) -> Row:
    sizes = [result.batch_size for result in results]
    low, high = min(sizes), max(sizes)
    more = f" and {len(results) - 1:,} more" if len(results) > 1 else ""
    return Row(
        f"{results[0].name}{more}",
        f"{low:,}" if low == high else f"{low:,} to {high:,}",
        moved,
        largest,
        ulp,
        results,
    )
