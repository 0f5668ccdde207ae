"""A replay as JUnit XML, which CI servers show: a test case for the model."""

from __future__ import annotations

from tfnorm.replay.report.text import to_text
from tfnorm.replay.report.words import verdict_lines
from tfnorm.replay.results import DIFFERENT, UNKNOWN, ReplayResult
from tfnorm.reports.junit import ERROR, FAILURE, SKIPPED, Case, junit


def to_junit(report: ReplayResult) -> str:
    """The report as JUnit XML: one case, that the log has what the model gives; a failure holds the text.

    Requests that were passed over are a case that is skipped, each reason one.
    """
    outcome = {DIFFERENT: FAILURE, UNKNOWN: ERROR}.get(report.verdict)
    case = Case(
        "tfnorm.replay",
        f"{report.log} is answered as by {report.model.target}",
        report.provenance.seconds,
        outcome,
        "; ".join(line for _, line in verdict_lines(report)[:2]),
        None if outcome is None else to_text(report),
    )
    passed_over = [
        Case("tfnorm.replay", reason, 0.0, SKIPPED, f"{count:,} requests")
        for reason, count in report.passed_over.items()
    ]
    return junit(report.log, [case, *passed_over], report.provenance)
