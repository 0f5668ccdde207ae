"""The report that a comparison of statistics gives: its result, as text, as JSON and as a picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfnorm.reports.document import Document
from tfnorm.statistics.report.plot import plot
from tfnorm.statistics.report.results import StatisticsResult
from tfnorm.statistics.report.text import render, to_text

if TYPE_CHECKING:
    from rich.console import RenderableType


class StatisticsReport(StatisticsResult, Document):
    """Whether a model's moving statistics are those of a dataset. Print it for a table and what to do next.

    Attributes:
        model: the name of the model.
        batches: how many batches the model was run on.
        layers: the layers with moving statistics, in the order in which the model calls them.
        passed: whether at least one layer is called in inference, and every one that is called is "ok".

    Example:

        >>> model = keras.Sequential([keras.Input((1,)), tfnorm.BatchNormalization()])
        >>> tfnorm.statistics_report(model, np.ones((8, 1), np.float32)).passed
        False
    """

    def to_dict(self) -> dict[str, Any]:
        """The report as dicts, lists and plain values; a number that isn't finite is None."""
        return {
            "model": self.model,
            "batches": self.batches,
            "passed": self.passed,
            "layers": [layer.to_dict() for layer in self.layers],
            "provenance": None if self.provenance is None else asdict(self.provenance),
        }

    def plot(self, path: str | Path) -> None:
        """Draw each channel of each layer: how far its mean is off, and its standard deviation.

        Needs matplotlib: `pip install matplotlib`.

        Args:
            path: the file to write; its ending says which format, such as `.png`, `.svg` or `.pdf`.

        Raises:
            InputError: matplotlib is not installed or doesn't write such files, or there is no such
                folder.
        """
        plot(self, path)

    def __rich__(self) -> RenderableType:
        return render(self)

    def __str__(self) -> str:
        return to_text(self)
