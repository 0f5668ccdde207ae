"""A report as one HTML page that needs nothing else, on a narrow screen and in the dark, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tfnorm.reports.provenance import Provenance

_STYLE = """
:root { color-scheme: light dark; --text: #222; --back: #fff; --faint: #666; --line: #ddd;
        --good: #1f6f54; --bad: #b03024; --doubt: #8a5a00; --point: #4a6fa5; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e4e4; --back: #161616; --faint: #a0a0a0; --line: #3a3a3a;
          --good: #6cc5a1; --bad: #f08a7e; --doubt: #e0b050; --point: #8fb3e6; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
       max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin-bottom: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
p.what, footer { color: var(--faint); overflow-wrap: anywhere; } p.what { margin-top: .2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 1.5rem 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
.PASSED, .EQUAL { color: var(--good); } .FAILED, .DIFFERENT { color: var(--bad); }
.WARNING, .UNDECIDED, .COULD { color: var(--doubt); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line);
         vertical-align: top; }
th { overflow-wrap: anywhere; } td { white-space: nowrap; }
td:first-child, th:first-child, td.said, th.said { text-align: left; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
tr.failed td { color: var(--bad); }
svg { width: 100%; max-width: 40rem; height: auto; font-size: 11px; }
svg text { fill: var(--text); } svg .grid { stroke: var(--line); }
svg .equal { stroke: var(--faint); stroke-dasharray: 4 3; }
svg .points { fill: var(--point); fill-opacity: .6; }
footer { font-size: .85rem; margin-top: 2rem; }
@media (max-width: 34rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; }
  table { font-size: .8rem; } th, td { padding: .2rem; }
  td:first-child, td.said { white-space: normal; } }
"""


def page(
    title: str,
    verdict: str,
    lines: Sequence[tuple[str, str]],
    body: str,
    settings: str,
    provenance: Provenance | None,
) -> str:
    """A page.

    Args:
        title: what was looked at, and after two spaces with what.
        verdict: what came out, in a word.
        lines: what came out and what to do next: a word and what it says, line by line.
        body: the rest, as HTML.
        settings: how it was looked at.
        provenance: what the report comes from; None where that isn't known.
    """
    verdicts = "".join(
        f'<dt class="{escape(word.partition(" ")[0])}">{escape(word)}</dt><dd>{escape(said)}</dd>'
        for word, said in lines
    )
    target, _, what = title.partition("  ")
    made = "" if provenance is None else f"<br>{escape(str(provenance))}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(target)}: {escape(verdict)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(target)}</h1>
<p class="what">{escape(what.strip().replace("  ", " · "))}</p>
<dl>{verdicts}</dl>
{body}
<footer>{escape(settings)}{made}</footer>
</body>
</html>
"""


def table(
    heads: Iterable[str],
    rows: Iterable[tuple[Iterable[str], bool]],
    said: Sequence[int] = (),
    long: Sequence[int] = (),
) -> str:
    """A table, which scrolls by itself where the page is narrower.

    Args:
        heads: the columns.
        rows: the cells of each, and whether it is marked as failed.
        said: the columns that are words, not figures.
        long: the columns whose words may be broken over lines.
    """

    def attribute(column: int) -> str:
        found = [name for name, those in (("said", said), ("long", long)) if column in those]
        return f' class="{" ".join(found)}"' if found else ""

    head = "".join(f"<th{attribute(n)}>{escape(name)}</th>" for n, name in enumerate(heads))
    body = "".join(
        f"<tr{' class=failed' if failed else ''}>"
        + "".join(f"<td{attribute(n)}>{escape(cell)}</td>" for n, cell in enumerate(cells))
        + "</tr>"
        for cells, failed in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
