"""The report on a model's statistics as one HTML page that needs nothing else."""

from __future__ import annotations

import numpy as np

from tfnorm.reports.page import page, table
from tfnorm.statistics.judgement import OFF
from tfnorm.statistics.report.plot import Row, drawn
from tfnorm.verify.report.plot import as_svg, check_matplotlib
from tfnorm.verify.statistics.results import FitResult
from tfnorm.verify.statistics.text import COLUMNS, cells, title, verdict_lines, worst_first

_DRAWN = 30
"""How many layers are drawn, those that are farthest off."""


def to_html(report: FitResult) -> str:
    """The report as a page: the verdict, a plot of the channels, and every layer.

    Raises:
        InputError: matplotlib is not installed.
    """
    check_matplotlib()
    layers = worst_first(report)
    body = ""
    if layers:
        off = report.judged is not None and report.judged.verdict == OFF
        rows = [
            Row(layer.name, not off, np.array(layer.mean_difference), np.array(layer.std_ratio))
            for layer in layers[:_DRAWN]
        ]
        figure = drawn("the statistics in use beside those of the examples", rows)
        cells_of = (((layer.name, *cells(layer)), False) for layer in layers)
        body = (
            f"<h2>The channels, by layer</h2>{as_svg(figure, 'statistics')}"
            f"<h2>The farthest channel of each layer, the farthest first</h2>"
            f"{table(('layer', *COLUMNS), cells_of)}"
        )
    word = "failed" if report.failed else "passed" if report.passed else "could not tell"
    settings = "moving statistics"
    return page(title(report), word, verdict_lines(report), body, settings, report.provenance)
