import json
import math

from verify.made_reports import make_report

from tfnorm.reports.provenance import Provenance
from tfnorm.verify import InvarianceReport
from tfnorm.verify.report.text import to_text


def test_the_json_has_what_the_design_promises():
    document = json.loads(make_report().to_json())
    assert document["passed"] is False
    assert document["max_abs_diff"] == 0.25
    assert document["max_ulp"] == 7
    assert document["culprit"]["op_type"] == "Mean"
    assert document["culprit"]["layer"] == "d"
    assert document["target"] == "exports/ranker/3"
    assert document["outputs"]["score"]["dtype"] == "float32"
    assert document["stake"]["auc"]["1024"] == 0.8221
    (composition,) = document["compositions"]
    expected = {"name": "batches of 2", "batch_size": 2, "max_abs_diff": 0.25, "rows_changed": 3}
    assert composition.items() >= (expected | {"passed": False}).items()


def test_the_dict_is_what_the_json_says():
    assert json.loads(make_report().to_json()) == make_report().to_dict()


def test_a_report_comes_back_from_its_json():
    made = Provenance({"tfnorm": "0.1.0"}, "2026-01-02T03:04:05+00:00", 1.5, {"model": "01"})
    plain = {
        "provenance": made,
        "stake": None,
        "culprit": None,
        "culprit_unknown": "it is far away",
    }
    for report in (make_report(), make_report(math.inf, None), make_report(1e-7, 1, True, **plain)):
        again = InvarianceReport.from_dict(json.loads(report.to_json()))
        assert again == report and again.provenance == report.provenance


def test_what_is_not_finite_is_null_so_that_any_reader_takes_it():
    text = make_report(math.inf, None).to_json(indent=None)
    assert "Infinity" not in text
    assert "\n" not in text
    document = json.loads(text)
    assert document["max_abs_diff"] is None
    assert document["compositions"][0]["outputs"]["score"]["max_abs_diff"] is None


def test_a_report_prints_as_the_terminal_shows_it():
    report = make_report()
    assert str(report) == to_text(report)
    assert f"{report}".startswith("exports/ranker/3  signature serving_default  4 examples")


def test_reports_are_equal_where_all_their_fields_are():
    assert make_report() == make_report()
    assert make_report() != make_report(seed=1)
