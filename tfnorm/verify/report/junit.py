"""A report as JUnit XML, which CI servers show: a test case for each composition."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tfnorm.verify.report.text import to_text
from tfnorm.verify.results import CompositionResult, InvarianceResult

# XML has no place for them, escaped or not.
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: InvarianceResult) -> str:
    """The report as JUnit XML; the first failure holds its terminal text."""
    failed = [result for result in report.compositions if not result.passed]
    counts = {
        "tests": str(len(report.compositions) + len(report.left_out)),
        "failures": str(len(failed)),
        "errors": "0",
        "skipped": str(len(report.left_out)),
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
    for name, reason in report.left_out.items():
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
