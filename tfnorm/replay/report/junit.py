"""A replay as JUnit XML, which CI servers show: a test case for each model."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tfnorm.replay.report.text import to_text
from tfnorm.replay.report.words import verdict_lines
from tfnorm.replay.results import DIFFERENT, UNKNOWN, ReplayResult

# XML has no place for them, escaped or not.
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: ReplayResult) -> str:
    """The report as JUnit XML: one case, that the log has what the model gives; a failure holds the text.

    Requests that were passed over are a case that is skipped, each reason one.
    """
    failed, unknown = report.verdict == DIFFERENT, report.verdict == UNKNOWN
    counts = {
        "tests": str(1 + len(report.passed_over)),
        "failures": str(int(failed)),
        "errors": str(int(unknown)),
        "skipped": str(len(report.passed_over)),
        "time": f"{report.seconds:.3f}",
    }
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        {"name": _text(report.log), "timestamp": report.started, **counts},
    )
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": "tfnorm.replay",
            "name": _text(f"{report.log} is answered as by {report.model.target}"),
            "time": f"{report.seconds:.3f}",
        },
    )
    if failed or unknown:
        message = "; ".join(line for _, line in verdict_lines(report)[:2])
        found = ElementTree.SubElement(
            case, "failure" if failed else "error", {"message": _text(message)}
        )
        found.text = _text(to_text(report))
    for reason, count in report.passed_over.items():
        passed = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": "tfnorm.replay", "name": _text(reason), "time": "0.000"},
        )
        ElementTree.SubElement(passed, "skipped", {"message": f"{count:,} requests"})
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _text(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
