import math
import re
import sys
from html.parser import HTMLParser

import pytest
from verify.made_reports import make_report

from tfnorm.errors import InputError
from tfnorm.verify.report.html import to_html


class _Page(HTMLParser):
    """The tags of a page, what it loads, and its words."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.loads, self.words = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        names = {"src", "href", "xlink:href"}
        self.loads += [v for name, v in attributes if name in names and not v.startswith("#")]

    def handle_data(self, data):
        self.words += data.split()

    @property
    def text(self):
        return " ".join(self.words)


def test_the_page_needs_nothing_else():
    page = to_html(make_report())
    assert _Page(page).loads == []
    assert "<script" not in page
    assert not re.search(r"@import|url\((?!#)", page)


def test_the_page_says_what_the_terminal_says_and_shows_every_composition():
    page = _Page(to_html(make_report()))
    assert "FAILED a score moves by up to 2.5e-01" in page.text
    assert "culprit d/Mean: Mean over the batch, in layer d (model.py:3)" in page.text
    assert "batches of 2 2 3 / 4 2.5e-01 7 dependence one at a time" in page.text
    assert "signature serving_default · 4 examples" in page.text


def test_each_output_has_a_plot():
    report = make_report()
    (result,) = report.compositions
    outputs = {"a": report.outputs["score"], "b": report.outputs["score"]}
    moves = dict.fromkeys(outputs, result.outputs["score"])
    result = type(result)(**{**vars(result), "outputs": moves})
    page = to_html(make_report(outputs=outputs, compositions=[result]))
    assert page.count("<svg") == 2
    identities = re.findall(r'<path id="(m\w+)"', page)
    assert identities and len(set(identities)) == len(identities)


@pytest.mark.parametrize("difference", [0.0, 1e-7, math.inf])
def test_any_difference_can_be_drawn(difference):
    assert "<svg" in to_html(make_report(difference, None))


def test_the_same_report_gives_the_same_page():
    assert to_html(make_report()) == to_html(make_report())


def test_names_are_not_taken_for_markup():
    page = to_html(make_report(target="<b>&", left_out={"<i>": "<u>"}))
    assert "b" not in _Page(page).tags
    assert "&lt;b&gt;&amp;" in page and "&lt;i&gt;" in page and "&lt;u&gt;" in page


def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"pip install '\.\[report\]'"):
        to_html(make_report())
