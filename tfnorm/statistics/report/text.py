"""A report as people read it: what was done, what came out, what to do next, in one screen."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from tfnorm.reports.provenance import with_provenance
from tfnorm.statistics.report.results import LayerStatistics, StatisticsResult, Summary
from tfnorm.terminal import plain_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


SHOWN = 10
"""How many layers the table shows, so that the whole fits a screen of 24 lines."""

WIDTH = 100
"""Characters a line; a layer's name gives way for the rest, and keeps its end."""

FINDINGS = {
    "not finite": "the data or the moving statistics are NaN or infinite",
    "by batch": "called with training=True in inference too: a score depends on its batch",
    "never updated": "the moving statistics are still at their initial values",
    "off": "the moving statistics are not the data's",
}
"""State -> what it means, the worst first."""

ADVICE = {
    "not finite": "look for NaN or infinite values in the dataset and in the model's weights",
    "by batch": "leave training=True out where the layer is called",
    "never updated": "see that training calls the model with training=True and that momentum is "
    "not 1; tfnorm.recalibrate_statistics(model, dataset) computes them",
    "off": "tfnorm.recalibrate_statistics(model, dataset) makes them exact, if the dataset is "
    "what the model was trained on",
}

CURED = ("never updated", "off")
"""The states that recalibration makes good."""

FROZEN = (
    "next",
    "recalibrate_statistics leaves frozen layers alone; set trainable=True to recalibrate",
)

UNITS = (
    "units",
    "mean off: (moving mean - mean) / standard deviation, of the data; std ratio: moving / data; "
    "each in the worst channel (which), and the median over the channels",
)


def render(report: StatisticsResult) -> RenderableType:
    """The report for `rich.print` or a `rich.console.Console`."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    layers = _count(len(report.layers), "layer", "layers")
    batches = _count(report.batches, "batch", "batches")
    shown = _shown(report.layers)
    return Group(
        Text(f"{report.model}  {layers} with moving statistics  {batches}"),
        "",
        Padding(_table(shown), (0, 0, 0, 2)),
        Padding(_others([layer for layer in report.layers if layer not in shown]), (0, 0, 0, 2)),
        Padding(_verdict(report), (0, 0, 0, 2)),
    )


def to_text(report: StatisticsResult, width: int = WIDTH) -> str:
    """The report as plain text.

    Args:
        width: the longest line, in characters.
    """
    return plain_text(with_provenance(render(report), report.provenance), width)


def _table(layers: list[LayerStatistics]) -> Table:
    from rich.table import Table
    from rich.text import Text

    rows = [
        (
            _large(layer.values),
            *_cells(layer.mean, "+.2f"),
            *_cells(layer.std, ".2f"),
            f"{layer.state}, frozen" if layer.frozen else layer.state,
        )
        for layer in layers
    ]
    headers = ("values", "mean off (in)", "median", "std ratio (in)", "median", "")
    widths = [max(map(len, column)) + 2 for column in zip(headers, *rows, strict=True)]
    room = WIDTH - 2 - sum(widths)

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column("layer", no_wrap=True)
    for header in headers:
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    for layer, cells in zip(layers, rows, strict=True):
        style = "red" if layer.state in FINDINGS else ""
        table.add_row(Text(_tail(layer.name, room)), *cells, style=style)
    return table


def _others(layers: list[LayerStatistics]) -> str:
    states = Counter(layer.state for layer in layers)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    return f"{len(layers)} more: {counts}\n" if layers else ""


def _shown(layers: list[LayerStatistics]) -> list[LayerStatistics]:
    """The first of the worst kinds, in their order in the model."""
    kinds = [*FINDINGS, "ok", "not called"]
    worst = sorted(layers, key=lambda layer: kinds.index(layer.state))[:SHOWN]
    return [layer for layer in layers if layer in worst]


def _cells(summary: Summary | None, form: str) -> tuple[str, str]:
    if summary is None:
        return "-", "-"
    worst = f"{_number(summary.worst, form)} ({summary.channel})"
    return worst, _number(summary.median, ".2f")


def _number(value: float, form: str) -> str:
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1000:
        return format(value, form.replace(".2f", ".1e"))
    # Adding 0 takes the sign off a zero.
    return format(round(value, 2) + 0.0, form)


def _large(number: int) -> str:
    return f"{number:,}" if number < 10_000_000 else f"{number / 1e6:,.0f}M"


def _tail(name: str, room: int) -> str:
    return name if len(name) <= room else "..." + name[3 - room :]


def _verdict(report: StatisticsResult) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for key, line in _lines(report):
        style = {"PASSED": "bold green", "FAILED": "bold red"}.get(key, "")
        grid.add_row(Text(key, style=style), Text(line))
    return grid


def _lines(report: StatisticsResult) -> list[tuple[str, str]]:
    called = [layer for layer in report.layers if layer.state != "not called"]
    states = Counter(layer.state for layer in called)
    found = [state for state in FINDINGS if states[state]]
    if not called:
        return [("FAILED", "no layer with moving statistics is given a value in inference")]
    if not found:
        return [("PASSED", "all moving statistics are near the data's"), UNITS]
    return [
        *(("FAILED", f"{states[s]} of {len(called)} {s}: {FINDINGS[s]}") for s in found),
        UNITS,
        *(("next", ADVICE[state]) for state in found),
        *([FROZEN] if any(layer.frozen and layer.state in CURED for layer in called) else []),
    ]


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"
