"""A replay as one HTML page that needs nothing else, on a narrow screen and in the dark, too."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from tfnorm.replay.report.plot import scatter
from tfnorm.replay.report.words import figures, title, verdict_lines, worst_rows
from tfnorm.replay.results import ModelResult, ReplayResult

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
.EQUAL { color: var(--good); } .DIFFERENT { color: var(--bad); } .COULD { color: var(--doubt); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line);
         vertical-align: top; }
th { overflow-wrap: anywhere; } td { white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
svg { width: 100%; max-width: 34rem; height: auto; font-size: 11px; }
svg text { fill: var(--text); } svg .grid { stroke: var(--line); }
svg .equal { stroke: var(--faint); stroke-dasharray: 4 3; }
svg .points { fill: var(--point); fill-opacity: .6; }
footer { font-size: .85rem; margin-top: 2rem; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; } }
"""


def to_html(report: ReplayResult) -> str:
    """The report as a page: the verdict, the figures, logged against new scores, and the worst requests."""
    models = [model for model in (report.model, report.against) if model is not None]
    verdicts = "".join(
        f'<dt class="{escape(word.split()[0])}">{escape(word)}</dt><dd>{escape(said)}</dd>'
        for word, said in verdict_lines(report)
    )
    heads = ["", *(model.target for model in models)]
    numbers = _table(heads, ([name, *values] for name, values in figures(report)))
    plots = "".join(
        f"<h2>Logged scores against those of {escape(model.target)}</h2>{drawn}"
        for model in models
        if (drawn := scatter(model))
    )
    worst = "".join(_worst(model) for model in models if model.worst)
    log, _, what = title(report).partition("  ")
    used = ", ".join(f"{package} {version}" for package, version in report.versions.items())
    prints = "".join(f"; {escape(m.target)} is {m.fingerprint}" for m in models if m.fingerprint)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(log)}: {escape(report.verdict)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(log)}</h1>
<p class="what">{escape(what.strip().replace("  ", " · "))}</p>
<dl>{verdicts}</dl>
<h2>In figures</h2>
{numbers}
{plots}
{worst}
<footer>{escape(used)}; {escape(report.started)}, in {report.seconds:.1f} seconds;
tolerance {report.atol:g} + {report.rtol:g} of the score, seed {report.seed}{prints}</footer>
</body>
</html>
"""


def _worst(model: ModelResult) -> str:
    heads = ["request", "rows that differ", "largest difference", "logged", "new"]
    return f"<h2>Worst requests, {escape(model.target)}</h2>{_table(heads, worst_rows(model))}"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
