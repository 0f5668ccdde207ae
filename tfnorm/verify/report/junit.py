"""A report as JUnit XML, which CI servers show: a test case for each composition."""

from __future__ import annotations

from tfnorm.reports.junit import ERROR, FAILURE, SKIPPED, Case, junit
from tfnorm.verify.report.text import to_text
from tfnorm.verify.results import CompositionResult, InvarianceResult

STATISTICS = "moving statistics"


def to_junit(report: InvarianceResult) -> str:
    """The report as JUnit XML; the first failure holds its terminal text.

    Args:
        report: the report of a verification.

    Returns:
        The XML, with a test case for each composition.

    Example:

        text = to_junit(tfnorm.verify_batch_invariance("exports/ranker"))
        Path("verdict.xml").write_text(text)
    """
    failed = [result for result in report.compositions if not result.passed]
    cases = [
        _case(result, to_text(report) if failed and result is failed[0] else None)
        for result in report.compositions
    ]
    skipped = dict(report.left_out)
    if report.statistics is not None:
        outcome = FAILURE if report.misfit else None
        text = to_text(report) if report.misfit and not failed else None
        message = f"the moving statistics {report.statistics}"
        cases.append(Case("tfnorm.verify.statistics", STATISTICS, 0.0, outcome, message, text))
    elif report.statistics_unknown is not None:
        skipped[STATISTICS] = report.statistics_unknown
    if report.passed is None:
        message = "too little was scored to tell"
        cases.append(Case("tfnorm.verify", "verdict", 0.0, ERROR, message))
    cases += [Case("tfnorm.verify", name, 0.0, SKIPPED, reason) for name, reason in skipped.items()]
    return junit(report.target, cases, report.provenance)


def _case(result: CompositionResult, text: str | None) -> Case:
    of = f"tfnorm.verify.{result.kind}".replace(" ", "_")
    name = f"{result.name} ({result.batch_size} a batch)"
    if result.passed:
        return Case(of, name, result.seconds)
    moves = "differs" if result.kind == "parity" else "moves"
    message = f"{moves} by up to {result.max_abs_diff:.1e}: {result.verdict}"
    return Case(of, name, result.seconds, FAILURE, message, text)
