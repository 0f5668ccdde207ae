"""A replay as one HTML page that needs nothing else, on a narrow screen and in the dark, too."""

from __future__ import annotations

from html import escape

from tfnorm.replay.report.plot import scatter
from tfnorm.replay.report.words import figures, title, verdict_lines, worst_rows
from tfnorm.replay.results import ModelResult, ReplayResult
from tfnorm.reports.page import page, table


def to_html(report: ReplayResult) -> str:
    """The report as a page: the verdict, the figures, logged against new scores, and the worst requests."""
    models = [model for model in (report.model, report.against) if model is not None]
    heads = ["", *(model.target for model in models)]
    numbers = table(heads, (([name, *values], False) for name, values in figures(report)))
    plots = "".join(
        f"<h2>Logged scores against those of {escape(model.target)}</h2>{drawn}"
        for model in models
        if (drawn := scatter(model))
    )
    worst = "".join(_worst(model) for model in models if model.worst)
    settings = f"tolerance {report.atol:g} + {report.rtol:g} of the score, seed {report.seed}"
    return page(
        title(report),
        report.verdict,
        verdict_lines(report),
        f"<h2>In figures</h2>\n{numbers}\n{plots}\n{worst}",
        settings,
        report.provenance,
    )


def _worst(model: ModelResult) -> str:
    heads = ["request", "rows that differ", "largest difference", "logged", "new"]
    shown = table(heads, ((row, False) for row in worst_rows(model)))
    return f"<h2>Worst requests, {escape(model.target)}</h2>{shown}"
