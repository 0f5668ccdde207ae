"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tfnorm._start.version import __version__
from tfnorm.verify.report.plot import plot
from tfnorm.verify.report.text import VERDICTS, move, title, ulps, verdict_lines, worst_first
from tfnorm.verify.results import InvarianceResult

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.3rem; margin-bottom: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p.what { color: #666; margin-top: .2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 1.5rem 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
.PASSED { color: #2a7f62; } .FAILED { color: #c0392b; } .WARNING { color: #b07010; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #eee; }
th { border-bottom: 2px solid #ccc; } td:first-child, th:first-child { text-align: left; }
td.verdict, th.verdict { text-align: left; }
tr.failed td { color: #c0392b; } svg { width: 100%; height: auto; }
footer { color: #888; font-size: .85rem; margin-top: 2rem; }
"""


def to_html(report: InvarianceResult) -> str:
    """The report as a page: the verdict, a plot for each output, and every composition.

    Raises:
        InputError: matplotlib is not installed.
    """
    plots = "".join(
        f"<h2>How far {escape(name)} moves, by batch size</h2>{plot(report, name)}"
        for name in report.outputs
    )
    left_out = "".join(
        f"<tr><td>{escape(name)}</td><td class=verdict>{escape(reason)}</td></tr>"
        for name, reason in report.left_out.items()
    )
    body = f"""{plots}
<h2>Every composition, worst first</h2>
{_table(report)}
{f"<h2>Left out</h2><table>{left_out}</table>" if left_out else ""}"""
    settings = (
        f"tolerance {report.atol:g} + {report.rtol:g} of the score\n"
        f"{', identical bits asked for' if report.bitwise else ''}, seed {report.seed}"
    )
    said = VERDICTS[report.passed]
    return page(title(report), said, verdict_lines(report), body, settings)


def page(
    title: str, verdict: str, lines: Sequence[tuple[str, str]], body: str, settings: str
) -> str:
    """A page.

    Args:
        title: what was looked at, and after two spaces with what.
        verdict: what came out, in a word.
        lines: what came out and what to do next: a word and what it says, line by line.
        body: the rest, as HTML.
        settings: how it was looked at.
    """
    verdicts = "".join(
        f'<dt class="{escape(word)}">{escape(word)}</dt><dd>{escape(said)}</dd>'
        for word, said in lines
    )
    target, _, what = title.partition("  ")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(target)}: {verdict}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(target)}</h1>
<p class="what">{escape(what.strip().replace("  ", " · "))}</p>
<dl>{verdicts}</dl>
{body}
<footer>tfnorm {__version__}, {settings}</footer>
</body>
</html>
"""


def _table(report: InvarianceResult) -> str:
    headers = ("batch", "rows moved", "largest move", "ulp")
    rows = "".join(
        f"<tr{'' if result.passed else ' class=failed'}><td>{escape(result.name)}</td>"
        f"<td>{result.batch_size:,}</td><td>{result.rows_changed:,}</td>"
        f"<td>{move(result.max_abs_diff)}</td><td>{ulps(result.max_ulp)}</td>"
        f"<td class=verdict>{result.verdict}</td><td class=verdict>{escape(result.against)}</td></tr>"
        for result in worst_first(report)
    )
    head = "".join(f"<th>{header}</th>" for header in headers)
    return (
        f"<table><thead><tr><th>composition</th>{head}<th class=verdict>verdict</th>"
        f"<th class=verdict>compared with</th></tr></thead><tbody>{rows}</tbody></table>"
    )
