from pathlib import Path

from tfnorm.verify.inspection.findings import Finding, Findings
from tfnorm.verify.inspection.text import to_dict, to_text

ERROR = Finding("error", "d/Mean", "Mean", "d", "it reduces", "Don't.")
WARNING = Finding("warning", "x", None, None, "it is fixed", "Free it.")
INFO = Finding("info", None, None, None, "1 MB", "")


def _inspection(*findings):
    return Findings(Path("exports/ranker/3"), "serving_default", findings)


def test_each_finding_has_its_severity_its_op_and_what_to_do():
    text = to_text(_inspection(ERROR, WARNING, INFO))
    assert text.splitlines() == [
        "exports/ranker/3  signature serving_default",
        "",
        "  error    d/Mean (Mean), in layer d: it reduces",
        "           Don't.",
        "  warning  x: it is fixed",
        "           Free it.",
        "  info     1 MB",
        "",
        "  FAILED  1 error, 1 warning",
    ]


def test_a_model_without_errors_passes_and_the_next_step_is_told():
    passed = "PASSED  2 warnings; to be sure of the scores: tfnorm verify exports/ranker/3"
    assert passed in to_text(_inspection(WARNING, WARNING))
    assert "PASSED  nothing wrong is seen; to be sure" in to_text(_inspection(INFO))


def test_the_dict_is_plain():
    document = to_dict(_inspection(ERROR))
    assert document["directory"] == "exports/ranker/3"
    assert document["passed"] is False
    assert document["findings"][0]["message"] == "it reduces"
