from xml.etree import ElementTree

from tfnorm.reports.junit import ERROR, FAILURE, SKIPPED, Case, junit
from tfnorm.reports.provenance import Provenance

MADE = Provenance({"tfnorm": "0.1.0"}, "2026-01-02T03:04:05+00:00", 1.5, {"model": "0123"})


def suites(*cases, made=MADE):
    return ElementTree.fromstring(junit("a\x00<b>", cases, made).encode())


def test_cases_are_counted_and_each_has_its_time():
    outcomes = (None, FAILURE, FAILURE, ERROR, SKIPPED)
    cases = [Case("of", str(n), 0.25 * n, outcome, "why") for n, outcome in enumerate(outcomes)]
    found = suites(*cases)
    (suite,) = found
    for element in (found, suite):
        counts = [element.get(name) for name in ("tests", "failures", "errors", "skipped", "time")]
        assert counts == ["5", "2", "1", "1", "1.500"]
    assert [case.get("time") for case in suite.findall("testcase")] == [
        "0.000",
        "0.250",
        "0.500",
        "0.750",
        "1.000",
    ]
    assert [[told.tag for told in case] for case in suite.findall("testcase")] == [
        [],
        *([outcome] for outcome in outcomes[1:]),
    ]


def test_the_suite_has_what_the_report_comes_from():
    (suite,) = suites(Case("of", "name"))
    assert suite.get("timestamp") == "2026-01-02T03:04:05"
    properties = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert properties == {"tfnorm": "0.1.0", "model": "0123"}


def test_without_that_the_times_of_the_cases_are_the_suites():
    (suite,) = suites(Case("of", "a", 0.25), Case("of", "b", 0.5), made=None)
    assert suite.get("time") == "0.750" and suite.get("timestamp") is None


def test_what_xml_has_no_place_for_is_replaced_and_the_rest_is_text():
    (suite,) = suites(Case("of", "\x07", 0.0, FAILURE, "a < b & c", "\x1b]"), made=None)
    assert suite.get("name") == "a\N{REPLACEMENT CHARACTER}<b>"
    (case,) = suite
    assert case.get("name") == "\N{REPLACEMENT CHARACTER}"
    assert case[0].get("message") == "a < b & c" and case[0].text == "\N{REPLACEMENT CHARACTER}]"
