"""A replay as people read it: what was done, what came out, what to do next, in one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnorm.replay.report.words import summary, title, verdict_lines, worst_rows
from tfnorm.replay.results import ReplayResult
from tfnorm.reports.provenance import with_provenance
from tfnorm.terminal import plain_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

SHOWN = 3
"""How many of the worst requests are shown, so that the whole fits a screen of 24 lines."""

_COLOURS = {"EQUAL": "bold green", "DIFFERENT": "bold red", "COULD NOT TELL": "bold yellow"}


def render(report: ReplayResult) -> RenderableType:
    """The report for `rich.print` or a `rich.console.Console`."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = [Text(title(report)), "", Padding(_table(report), (0, 0, 0, 2))]
    if report.model.worst:
        parts += ["", Padding(_worst(report), (0, 0, 0, 2))]
    return Group(*parts, "", Padding(_verdict(report), (0, 0, 0, 2)))


def to_text(report: ReplayResult, width: int = 100) -> str:
    """The report as plain text.

    Args:
        width: the longest line, in characters.
    """
    return plain_text(with_provenance(render(report), report.provenance), width)


def _table(report: ReplayResult) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.show_header = report.against is not None
    table.add_column("", no_wrap=True)
    table.add_column(report.model.target, justify="right")
    if report.against is not None:
        table.add_column(report.against.target, justify="right")
    for name, values in summary(report):
        table.add_row(name, *values)
    return table


def _worst(report: ReplayResult) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="")
    table.add_column("worst requests", no_wrap=True)
    for header in ("rows that differ", "largest", "logged", "new"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in worst_rows(report.model)[:SHOWN]:
        table.add_row(*row)
    return table


def _verdict(report: ReplayResult) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for key, line in verdict_lines(report):
        if key == "ruled out":
            # Why is in the other views.
            line = "; ".join(said.partition(": ")[0] for said in report.model.ruled_out)
        table.add_row(Text(key, style=_COLOURS.get(key, "")), Text(line))
    return table
