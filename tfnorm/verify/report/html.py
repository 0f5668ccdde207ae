"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape

from tfnorm.reports.page import page, table
from tfnorm.verify.report.parity import parity_figures
from tfnorm.verify.report.plot import plot
from tfnorm.verify.report.rows import move, rows_moved, ulps, worst_first
from tfnorm.verify.report.text import VERDICTS, title, verdict_lines
from tfnorm.verify.results import InvarianceResult


def to_html(report: InvarianceResult) -> str:
    """The report as a page: the verdict, a plot for each output, and every composition.

    Args:
        report: the report of a verification.

    Returns:
        The page, as HTML that needs no other file.

    Raises:
        InputError: matplotlib is not installed.

    Example:

        page = to_html(tfnorm.verify_batch_invariance("exports/ranker"))
        Path("verdict.html").write_text(page)
    """
    plots = "".join(
        f"<h2>How far {escape(name)} moves, by batch size</h2>{plot(report, name)}"
        for name in report.outputs
    )
    rows = (
        (
            (
                result.name,
                f"{result.batch_size:,}",
                rows_moved(result, report.examples),
                move(result.max_abs_diff),
                ulps(result.max_ulp),
                result.verdict,
                result.against,
            ),
            not result.passed,
        )
        for result in worst_first(report)
    )
    heads = (
        "composition",
        "batch",
        "rows moved",
        "largest move",
        "ulp",
        "verdict",
        "compared with",
    )
    left_out = ((said, False) for said in report.left_out.items())
    beside = ""
    if report.parity is not None:
        heads_beside, figures = parity_figures(report.parity)
        shown = table(heads_beside, ((row, False) for row in figures))
        beside = f"<h2>Beside {escape(report.parity.against)}</h2>{shown}"
    body = f"""{beside}{plots}
<h2>Every composition, worst first</h2>
{table(heads, rows, said=(5, 6))}
{f"<h2>Left out</h2>{table(('', 'why'), left_out, said=(1,), long=(0, 1))}" if report.left_out else ""}"""
    settings = (
        f"tolerance {report.atol:g} + {report.rtol:g} of the score"
        f"{', identical bits asked for' if report.bitwise else ''}, seed {report.seed}"
    )
    said = VERDICTS[report.passed]
    return page(title(report), said, verdict_lines(report), body, settings, report.provenance)
