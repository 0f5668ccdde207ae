import dataclasses
from xml.etree import ElementTree

from verify.made_reports import make_report

from tfnorm.verify.report.junit import to_junit
from tfnorm.verify.report.text import to_text


def _suite(report):
    (suite,) = ElementTree.fromstring(to_junit(report))
    return suite


def test_each_composition_is_a_test_case_and_the_first_failure_has_the_text():
    report = make_report()
    (failed,) = report.compositions
    clean = dataclasses.replace(failed, name="all at once", verdict="same", passed=True)
    again = dataclasses.replace(failed)
    twice = dataclasses.replace(report, compositions=[clean, failed, again])
    suite = _suite(twice)
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    names = [case.get("name") for case in suite]
    assert names == ["all at once (2 a batch)"] + ["batches of 2 (2 a batch)"] * 2
    first, second = suite.findall("testcase/failure")
    assert first.text == to_text(twice)
    assert first.get("message") == "moves by up to 2.5e-01: dependence"
    assert second.text is None


def test_what_was_left_out_is_skipped_with_the_reason():
    suite = _suite(make_report(1e-7, 1, True, left_out={"among zeros": "id < 1 & so on"}))
    assert (suite.get("skipped"), suite.get("failures")) == ("1", "0")
    (skipped,) = suite.findall("testcase/skipped")
    assert skipped.get("message") == "id < 1 & so on"


def test_a_report_that_is_undecided_is_an_error_and_no_success():
    suite = _suite(make_report(1e-7, 1, True, passed=None))
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("2", "1", "0")
    (error,) = suite.findall("testcase/error")
    assert error.get("message") == "too little was scored to tell"


def test_characters_that_xml_has_no_place_for_are_replaced():
    assert _suite(make_report(target="a\x00<b>")).get("name") == "a\N{REPLACEMENT CHARACTER}<b>"
