"""What the commands print: on the terminal, and how far they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from tfnorm.terminal import terminal_bars

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import TaskID

    from tfnorm.export import ExportReport
    from tfnorm.statistics.moves import Recalibration
    from tfnorm.training import Progress, Trained


def show(*drawn: RenderableType) -> None:
    """Print on stdout, in colours where that is a terminal."""
    Console(highlight=False).print(*drawn)


def two_columns(*title: str) -> Table:
    """An empty table of names and values, whose long values are folded."""
    table = Table(*title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[1].overflow = "fold"
    return table


def auc(trained: Trained) -> str:
    """The AUC, beside the best that is possible where that is known."""
    if trained.auc is None:
        return "none: all labels of the test split are the same"
    best = "" if trained.best_auc is None else f" (the best possible: {trained.best_auc:.4f})"
    return f"{trained.auc:.4f}{best}"


def add_recalibration(table: Table, done: Recalibration) -> None:
    """What the moving statistics are those of, how far that decides, and what it moved."""
    table.add_row("recalibrated", str(done))
    for move in done.moves:
        table.add_row("moved", str(move))


def statistics_line(report: ExportReport) -> str:
    """Whether an export's moving statistics fit its examples."""
    if report.statistics is None:
        return "not looked at: give examples to compare them with"
    warned = "WARNING: they " if report.statistics.verdict in ("off", "doubtful") else ""
    return f"{warned}{report.statistics}"


@contextlib.contextmanager
def stages(unit: str = "examples") -> Iterator[Progress]:
    """Show how far the stages of the work are, a bar each, on a terminal; nothing elsewhere.

    A total of 0 isn't known. A stage in which nothing is counted has a bar until the next one begins.
    """
    with terminal_bars(unit, rate=True) as bars:
        tasks: dict[str, TaskID] = {}
        uncounted: list[str] = []

        def close_uncounted() -> None:
            for stage in uncounted:
                if bars is not None:
                    bars.remove_task(tasks.pop(stage))
            uncounted.clear()

        def progress(stage: str, done: int, total: int) -> None:
            if bars is None:
                return
            if stage not in tasks:
                close_uncounted()
                tasks[stage] = bars.add_task(stage, total=None)
                uncounted.append(stage)
            if done or total:
                bars.update(tasks[stage], completed=done, total=total or None)
                uncounted.clear()

        try:
            yield progress
        finally:
            close_uncounted()
