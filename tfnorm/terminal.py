"""What a terminal shows, and what it becomes where there is none: no progress bar, and plain text."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

_shown: list[Progress] = []
"""The bars that are on the terminal."""


@contextmanager
def terminal_bars(
    unit: str = "", *, rate: bool = False, transient: bool = False
) -> Iterator[Progress | None]:
    """Bars on stderr, which show the counts in a unit; None where stderr is no terminal.

    A file gets none even where colours are forced on it. Bars inside of others are drawn below them, in the
    same columns.

    Args:
        unit: what is counted.
        rate: whether they show how many of it a second.
        transient: whether they go when they are done.
    """
    if _shown:
        # rich before 14.1 draws no second display, and while there is one, stderr is no terminal.
        (bars,) = _shown
        around = set(bars.task_ids)
        try:
            yield bars
        finally:
            for task in set(bars.task_ids) - around if transient else ():
                bars.remove_task(task)
        return
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} {unit}/s")

    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([TextColumn(unit)] if unit else []),
        *([Rate()] if rate else []),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=transient) as bars:
        _shown.append(bars)
        try:
            yield bars
        finally:
            _shown.remove(bars)


def plain_text(drawn: RenderableType, width: int) -> str:
    """The lines, none longer than `width`, without colours and without spaces at their ends."""
    from rich.console import Console

    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
        color_system=None,
        legacy_windows=False,
        # In a notebook rich would draw in the page, and write nothing to the file.
        force_jupyter=False,
    )
    console.print(drawn)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
