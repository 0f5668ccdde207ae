"""The views of a report: the terminal's, the page and JUnit's."""

import dataclasses
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from replay.traffic import Numpy, answered, requests, write

import tfnorm
from tfnorm.replay.report.html import to_html
from tfnorm.replay.report.junit import to_junit
from tfnorm.replay.report.plot import scatter
from tfnorm.replay.report.text import to_text


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    ranker = Numpy(1, name="exports/ranker/1")
    return write(
        tmp_path_factory.mktemp("logs") / "log", answered(ranker, requests(0, 40), version=1)
    )


@pytest.fixture(scope="module")
def different(log):
    return tfnorm.replay(log, Numpy(2, name="exports/ranker/2"), Numpy(1, name="exports/ranker/1"))


@pytest.fixture(scope="module")
def equal(log):
    return tfnorm.replay(log, Numpy(1))


def unknown(equal):
    unfit = {"the log lacks 'y', float32 [None]": 3}
    model = dataclasses.replace(equal.model, verdict="could not tell", unfit=unfit)
    return dataclasses.replace(
        equal, verdict="could not tell", model=model, passed_over={"an error": 2}
    )


class _Page(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.loads, self.words = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [v for name, v in attributes if name in ("src", "href", "xlink:href")]

    def handle_data(self, data):
        self.words += data.split()


def test_the_text_fits_its_width_and_the_worst_come_first(different):
    text = to_text(different, 80)
    assert max(map(len, text.splitlines())) <= 80
    numbers = [one.number for one in different.model.worst[:3]]
    found = re.findall(r"^ +(\d+) +\d+ / \d+ ", text, re.M)
    assert list(map(int, found)) == numbers


def test_the_page_needs_nothing_else_and_says_what_the_terminal_says(different):
    text = to_html(different)
    page = _Page(text)
    said = " ".join(page.words)
    assert page.loads == [] and "<script" not in text
    assert not re.search(r"@import|url\(", text)
    assert "DIFFERENT" in said and "exports/ranker/1 gives the logged scores" in said
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
    assert page.tags.count("svg") == 2
    assert page.tags.count("circle") == 2 * different.model.rows
    assert f"tfnorm {tfnorm.__version__}" in said


def test_names_are_not_taken_for_markup(different):
    model = dataclasses.replace(different.model, target="<b>&")
    page = to_html(dataclasses.replace(different, log="<i>", model=model))
    assert not {"b", "i"} & set(_Page(page).tags)
    assert "&lt;b&gt;&amp;" in page and "&lt;i&gt;" in page


def test_junit_has_a_failure_an_error_or_neither_and_times(different, equal):
    for report, failures, errors in ((different, 1, 0), (equal, 0, 0), (unknown(equal), 0, 1)):
        suites = ElementTree.fromstring(to_junit(report).encode())
        assert [suites.get(k) for k in ("failures", "errors")] == [str(failures), str(errors)]
        (suite,) = suites
        assert float(suite.get("time")) > 0
        assert f"{suite.get('timestamp')}+00:00" == report.provenance.started
        cases = suite.findall("testcase")
        assert len(cases) == int(suites.get("tests")) == 1 + len(report.passed_over)
    failure = ElementTree.fromstring(to_junit(different).encode()).find(".//failure")
    assert "not what the model gives" in failure.get("message")
    assert "worst requests" in failure.text


def test_what_could_not_be_told_is_neither_equal_nor_different(equal):
    said = to_text(unknown(equal))
    assert "COULD NOT TELL" in said and "EQUAL" not in said.replace("COULD NOT TELL", "")
    assert "the log lacks 'y'" in said and "an error (2)" in said


def test_the_text_of_equal_answers_is_short(equal):
    text = to_text(equal)
    assert "EQUAL" in text and len(text.splitlines()) < 14


def test_a_report_says_what_it_comes_from(equal):
    assert equal.provenance.fingerprints.keys() == {"log"}
    for view in (to_text(equal), to_html(equal), to_junit(equal), equal.to_json()):
        assert equal.provenance.fingerprints["log"] in view
        assert tfnorm.__version__ in view
        assert equal.provenance.started.removesuffix("+00:00") in view


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.03, 0.98, ["0.2", "0.4", "0.6", "0.8"]),
        (-3.1, 6.2, ["-2", "0", "2", "4", "6"]),
        (
            0.50001,
            0.50002,
            ["0.500010", "0.500012", "0.500014", "0.500016", "0.500018", "0.500020"],
        ),
        (0, 41_000, ["0", "10000", "20000", "30000", "40000"]),
    ],
)
def test_the_plot_is_marked_at_round_numbers(low, high, shown, different):
    model = dataclasses.replace(different.model, points=[[low, low], [high, high]])
    marks = re.findall(r'text-anchor="end">([^<]*)<', scatter(model))
    assert [one for one in marks if low <= float(one) <= high] == shown
