"""A report as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    from matplotlib.figure import Figure


NEAR, FAR = "#4878a8", "#c44e52"


@dataclass(frozen=True)
class Row:
    """The channels of a layer.

    Attributes:
        label: what stands beside it.
        near: whether nothing is wrong with it.
        mean_difference: `[C]`, (mean in use - mean) / standard deviation.
        std_ratio: `[C]`, standard deviation in use / standard deviation.
    """

    label: str
    near: bool
    mean_difference: np.ndarray
    std_ratio: np.ndarray


def plot(report: StatisticsResult, path: str | Path) -> None:
    """Write a picture of the report: a row a layer, a dot a channel, a bar at the median.

    Raises:
        InputError: matplotlib is not installed or doesn't write such files, or there is no such folder.
    """
    title = f"{report.model}: moving statistics beside those of {report.batches:,} batches"
    rows = [
        Row(_label(layer), layer.state == "ok", layer.mean_difference, layer.std_ratio)
        for layer in report.layers
    ]
    try:
        drawn(title, rows).savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"the plot can't be written to {path}: {error}") from error


def drawn(title: str, rows: Sequence[Row]) -> Figure:
    """A picture of layers: a row a layer, a dot a channel, the number of the farthest, a bar at the median.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "a plot needs matplotlib, which is not installed: pip install matplotlib"
        ) from error

    figure = Figure(figsize=(11, 1.7 + 0.45 * len(rows)), layout="constrained", dpi=120)
    figure.suptitle(title)
    caption = (
        "a dot a channel, the farthest with its number, the bar their median; grey: near enough"
    )
    figure.supxlabel(caption, fontsize=9)
    means, stds = figure.subplots(1, 2, sharey=True)
    for height, row in enumerate(rows):
        colour = NEAR if row.near else FAR
        _draw(means, height, row.mean_difference, colour, np.abs(row.mean_difference))
        with np.errstate(divide="ignore", invalid="ignore"):
            _draw(stds, height, row.std_ratio, colour, np.abs(np.log(row.std_ratio)))
    _finish_means(means)
    _finish_stds(stds)
    means.set_yticks(range(len(rows)), [row.label for row in rows])
    means.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _draw(axes: Axes, row: int, values: np.ndarray, colour: str, distance: np.ndarray) -> None:
    """A dot a channel, spread over the height of the row by its number, that of the farthest beside it."""
    golden = 0.618034
    heights = row + 0.6 * ((golden * np.arange(len(values))) % 1 - 0.5)
    shown = np.isfinite(values)
    axes.scatter(values[shown], heights[shown], s=9, alpha=0.5, color=colour, linewidths=0)
    if shown.any():
        axes.vlines(np.median(values[shown]), row - 0.38, row + 0.38, color="black", linewidth=1.5)
        worst = int(np.argmax(np.where(shown, distance, -1)))
        axes.annotate(str(worst), (values[worst], heights[worst]), fontsize=7, alpha=0.8)


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
