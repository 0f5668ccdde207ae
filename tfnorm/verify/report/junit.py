"""A report as JUnit XML, which CI servers show: a test case for each composition."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tfnorm.verify.report.text import to_text
from tfnorm.verify.results import CompositionResult, InvarianceResult

STATISTICS = "moving statistics"

# XML has no place for them, escaped or not.
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: InvarianceResult) -> str:
    """The report as JUnit XML; the first failure holds its terminal text."""
    failed = [result for result in report.compositions if not result.passed]
    looked_at = report.statistics is not None
    undecided = report.passed is None
    skipped = dict(report.left_out)
    if report.statistics_unknown is not None and not looked_at:
        skipped[STATISTICS] = report.statistics_unknown
    counts = {
        "tests": str(len(report.compositions) + len(skipped) + looked_at + undecided),
        "failures": str(len(failed) + report.misfit),
        "errors": str(int(undecided)),
        "skipped": str(len(skipped)),
    }
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": _text(report.target), **counts})
    for result in report.compositions:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": f"tfnorm.verify.{result.kind}".replace(" ", "_"), "name": _name(result)},
        )
        if not result.passed:
            message = f"moves by up to {result.max_abs_diff:.1e}: {result.verdict}"
            failure = ElementTree.SubElement(case, "failure", {"message": message})
            if result is failed[0]:
                failure.text = _text(to_text(report))
    if looked_at:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "tfnorm.verify.statistics", "name": STATISTICS}
        )
        if report.misfit:
            message = _text(f"the moving statistics {report.statistics}")
            failure = ElementTree.SubElement(case, "failure", {"message": message})
            failure.text = None if failed else _text(to_text(report))
    if undecided:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "tfnorm.verify", "name": "verdict"}
        )
        ElementTree.SubElement(case, "error", {"message": "too little was scored to tell"})
    for name, reason in skipped.items():
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": "tfnorm.verify", "name": _text(name)}
        )
        ElementTree.SubElement(case, "skipped", {"message": _text(reason)})
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _name(result: CompositionResult) -> str:
    return _text(f"{result.name} ({result.batch_size} a batch)")


def _text(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
