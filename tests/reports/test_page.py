import re

from tfnorm.reports.page import page, table
from tfnorm.reports.provenance import Provenance

MADE = Provenance({"tfnorm": "<9>"}, "2026-01-02T03:04:05+00:00", 1.5, {"model": "0123"})


def test_a_page_has_its_verdict_what_it_comes_from_and_nothing_from_elsewhere():
    made = page("a/<1>  of  b", "failed", [("COULD NOT TELL", "<why>")], "<p>body", "seed 0", MADE)
    assert "<title>a/&lt;1&gt;: failed</title>" in made and "of · b" in made
    assert '<dt class="COULD">COULD NOT TELL</dt><dd>&lt;why&gt;</dd>' in made and "<p>body" in made
    assert "seed 0<br>tfnorm &lt;9&gt;; 2026-01-02T03:04:05Z, in 1.5 s; model 0123" in made
    assert not re.search(r"<script|src=|href=|@import|url\(", made)
    assert "None" not in page("a", "passed", [], "", "seed 0", None)


def test_a_page_has_colours_for_the_dark_and_a_column_for_narrow_screens():
    style = page("a", "passed", [], "", "", None)
    assert 'name="viewport" content="width=device-width' in style
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    names = re.findall(r"(--\w+):", light)
    assert names and re.findall(r"(--\w+):", dark) == names
    assert not re.findall(r"(?<!--)\b(?:color|background|fill|stroke): *#", style)
    assert "@media (max-width" in dark


def test_a_table_scrolls_by_itself_and_marks_what_failed():
    shown = table(("a", "b"), [(("<x>", "1"), True), (("y", "2"), False)], said=(1,), long=(1,))
    assert shown.startswith('<div class="wide"><table>')
    assert '<tr class=failed><td>&lt;x&gt;</td><td class="said long">1</td></tr>' in shown
    assert "<tr><td>y</td>" in shown and '<th class="said long">b</th>' in shown
