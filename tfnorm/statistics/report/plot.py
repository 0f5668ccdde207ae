"""A report as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfnorm.errors import InputError
from tfnorm.statistics.report.results import (
    MEAN_TOLERANCE,
    STD_TOLERANCE,
    LayerStatistics,
    StatisticsResult,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


NEAR, FAR = "#4878a8", "#c44e52"


def plot(report: StatisticsResult, path: str | Path) -> None:
    """Write a picture of the report: a row a layer, a dot a channel, a bar at the median.

    Raises:
        InputError: matplotlib is not installed or doesn't write such files, or there is no such folder.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "a plot needs matplotlib, which is not installed: pip install matplotlib"
        ) from error

    rows = report.layers
    figure = Figure(figsize=(11, 1.7 + 0.45 * len(rows)), layout="constrained", dpi=120)
    figure.suptitle(f"{report.model}: moving statistics beside those of {report.batches:,} batches")
    figure.supxlabel("a dot a channel, the bar their median; grey: near enough", fontsize=9)
    means, stds = figure.subplots(1, 2, sharey=True)
    for row, layer in enumerate(rows):
        colour = NEAR if layer.state == "ok" else FAR
        _draw(means, row, layer.mean_difference, colour)
        _draw(stds, row, layer.std_ratio, colour)
    _finish_means(means)
    _finish_stds(stds)
    means.set_yticks(range(len(rows)), [_label(layer) for layer in rows])
    means.set_ylim(len(rows) - 0.5, -0.5)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"the plot can't be written to {path}: {error}") from error


def _draw(axes: Axes, row: int, values: np.ndarray, colour: str) -> None:
    """A dot a channel, spread over the height of the row by its number."""
    golden = 0.618034
    heights = row + 0.6 * ((golden * np.arange(len(values))) % 1 - 0.5)
    shown = np.isfinite(values)
    axes.scatter(values[shown], heights[shown], s=9, alpha=0.5, color=colour, linewidths=0)
    if shown.any():
        axes.vlines(np.median(values[shown]), row - 0.38, row + 0.38, color="black", linewidth=1.5)


def _finish_means(axes: Axes) -> None:
    axes.set_title("mean: (moving - data) / data's standard deviation", fontsize=10)
    axes.axvspan(-MEAN_TOLERANCE, MEAN_TOLERANCE, color="0.92", zorder=0)
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter("{x:g}")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -1), max(high, 1))


def _finish_stds(axes: Axes) -> None:
    axes.set_title("standard deviation: moving / data", fontsize=10)
    axes.axvspan(1 / STD_TOLERANCE, STD_TOLERANCE, color="0.92", zorder=0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.3g}")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 1 / 2), max(high, 2))
    axes.locator_params(axis="x", numticks=8)


def _label(layer: LayerStatistics) -> str:
    return layer.name if layer.state == "ok" else f"{layer.name}\n{layer.state}"
