"""What an inspection gives."""

from pathlib import Path

import pytest

from tfnorm.verify.inspection.findings import SEVERITIES, Finding, Findings
from tfnorm.verify.inspection.inspect import Inspection
from tfnorm.verify.inspection.text import to_text


def _finding(severity):
    return Finding(severity, None, None, None, f"a {severity}", "")


@pytest.mark.parametrize(
    ("severities", "passed"),
    [((), True), (("info", "warning"), True), (("warning", "error", "info"), False)],
)
def test_it_passes_where_there_is_no_error(severities, passed):
    findings = Findings(Path("ranker"), "serving_default", tuple(map(_finding, severities)))
    assert findings.passed == passed


def test_as_a_string_an_inspection_is_its_text():
    inspection = Inspection(Path("ranker"), "score", tuple(map(_finding, SEVERITIES)))
    assert str(inspection) == to_text(inspection)
    assert str(inspection).index("a error") < str(inspection).index("a warning")
