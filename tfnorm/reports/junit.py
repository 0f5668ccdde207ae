"""A report as JUnit XML, which CI servers show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from tfnorm.reports.provenance import Provenance

# XML has no place for them, escaped or not.
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

FAILURE, ERROR, SKIPPED = "failure", "error", "skipped"


@dataclass(frozen=True)
class Case:
    """A test case.

    Attributes:
        of: what kind of test it is, such as "tfnorm.verify.size".
        name: which one.
        seconds: how long it took.
        outcome: "failure", "error" or "skipped"; None where it passed.
        message: why.
        text: more on that; None for nothing.
    """

    of: str
    name: str
    seconds: float = 0.0
    outcome: str | None = None
    message: str = ""
    text: str | None = None


def junit(name: str, cases: Sequence[Case], provenance: Provenance | None) -> str:
    """A suite of test cases, with what the report comes from as its properties.

    Args:
        name: of the suite.
        cases: the cases.
        provenance: what the report comes from; None where that isn't known.
    """
    seconds = sum(case.seconds for case in cases) if provenance is None else provenance.seconds
    counts = {
        "tests": str(len(cases)),
        **{
            plural: str(sum(case.outcome == outcome for case in cases))
            for plural, outcome in (("failures", FAILURE), ("errors", ERROR), ("skipped", SKIPPED))
        },
        "time": f"{seconds:.3f}",
    }
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": _text(name), **counts})
    if provenance is not None:
        # The schema knows no offset from UTC.
        suite.set("timestamp", provenance.started.removesuffix("+00:00"))
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in {**provenance.versions, **provenance.fingerprints}.items():
            ElementTree.SubElement(properties, "property", {"name": key, "value": value})
    for case in cases:
        found = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": case.of, "name": _text(case.name), "time": f"{case.seconds:.3f}"},
        )
        if case.outcome is not None:
            told = ElementTree.SubElement(found, case.outcome, {"message": _text(case.message)})
            told.text = None if case.text is None else _text(case.text)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _text(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
