"""The page on a model's statistics."""

import re

import pytest

from tfnorm.statistics.judgement import Residue
from tfnorm.statistics.results import LayerFit, StatisticsFit
from tfnorm.verify.statistics.html import to_html
from tfnorm.verify.statistics.report import FitReport
from tfnorm.verify.statistics.text import to_text


def layer(name, off):
    return LayerFit(
        name, Residue(None, None, settled=False), 1, 0.0, off, 1.0, 1.0, (0.1, -off), (1.1, 1.0)
    )


def report(verdict="off", count=1, **changes):
    layers = tuple(layer(f"tower/<bn>_{i}", 2.0 + i) for i in range(count))
    fit = StatisticsFit(verdict, 512, layers, 0.5, 0.9, 0.1)
    return FitReport(**({"fit": fit, "target": "exports/<1>"} | changes))


@pytest.mark.slow
def test_the_page_has_the_verdict_a_plot_and_every_layer():
    page = to_html(report(count=40))
    assert "<title>exports/&lt;1&gt;: failed</title>" in page
    assert "do not fit the 512 examples" in page and "tfnorm recalibrate MODEL" in page
    assert page.count("<svg") == 1
    assert page.count("<tr><td>tower/&lt;bn&gt;_") == 40
    assert page.index("bn&gt;_39</td>") < page.index("bn&gt;_0</td>")
    assert not re.search(r"<script|src=|href=\"http", page)


def test_a_page_without_layers_has_no_plot():
    page = to_html(report(fit=None, by_batch=("mine",)))
    assert "<svg" not in page and "a score depends on its batch: mine" in page


@pytest.mark.parametrize(
    ("verdict", "word", "next_step"),
    [
        ("off", "FAILED", "repair the Keras model"),
        ("doubtful", "WARNING", "repair the Keras model"),
        ("fits", "PASSED", None),
        ("undecided", "undecided", "give more examples"),
    ],
)
def test_the_text_says_what_came_out_and_what_to_do(verdict, word, next_step):
    text = to_text(report(verdict))
    assert f"\n  {word}" in text
    assert ("\n  next" in text) == (next_step is not None)
    assert next_step is None or next_step in text


def test_the_text_fits_a_screen_the_farthest_first():
    lines = to_text(report(count=40)).splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 100
    assert lines[3].lstrip().startswith("tower/<bn>_39")
    assert any("and 30 more, less far off" in line for line in lines)
    assert "-41.00" in lines[3]
