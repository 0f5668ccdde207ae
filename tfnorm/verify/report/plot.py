"""How far each output moves against the batch size, drawn as SVG."""

from __future__ import annotations

import io
import math
import re
from typing import TYPE_CHECKING

from tfnorm.errors import InputError, installed_by
from tfnorm.verify.results import DEPENDENCE, InvarianceResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"same": "#2a7f62", "rounding": "#4a6fa5", DEPENDENCE: "#c0392b"}
_OF_PAGE = {
    "#000000": "currentColor",
    "#2a7f62": "var(--good)",
    "#4a6fa5": "var(--point)",
    "#4878a8": "var(--point)",
    "#c0392b": "var(--bad)",
    "#c44e52": "var(--bad)",
    "#e6e6e6": "var(--line)",
    "#ebebeb": "var(--line)",
}
"""The colours of drawings -> those that a page has in their place, light or dark."""

_LEGIBLE = 0.65
"""How much smaller than drawn a drawing may be shown."""

_MARKERS = {"same": "o", "rounding": "o", DEPENDENCE: "X"}


def check_matplotlib() -> None:
    """Raise InputError where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the page is drawn with matplotlib, which is not installed ({error}); "
            f"install it with: {installed_by('report')}"
        ) from error


def plot(report: InvarianceResult, output: str) -> str:
    """An SVG element: a point for each composition, the batch size across, the largest move up.

    Args:
        report: the report.
        output: the output to draw.

    Raises:
        InputError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.add_subplot()
    moves = [(r.batch_size, r.outputs[output]) for r in report.compositions if r.kind != "parity"]
    finite = [m.max_abs_diff for _, m in moves if 0 < m.max_abs_diff < math.inf]
    lowest, highest = min(finite, default=1e-9), max(finite, default=1e-9)
    beyond = highest * 10
    for verdict in ("same", "rounding", DEPENDENCE):
        points = [(n, m.max_abs_diff) for n, m in moves if m.verdict == verdict]
        if points:
            sizes, differences = zip(*points, strict=True)
            axes.scatter(
                sizes,
                [beyond if d == math.inf else d for d in differences],
                color=_COLOURS[verdict],
                marker=_MARKERS[verdict],
                s=36,
                alpha=0.75,
                linewidths=0,
                label=verdict,
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=lowest / 3)
    infinite = any(m.max_abs_diff == math.inf for _, m in moves)
    axes.set_ylim(-lowest / 10, 4 * (beyond if infinite else highest))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("rows in the batch")
    axes.set_ylabel("largest move")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper right", ncols=len(_COLOURS))
    return as_svg(figure, output)


def as_svg(figure: Figure, name: str) -> str:
    """A figure in a box of a page on which no other figure has that name, in the page's colours."""
    from matplotlib import rc_context

    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_alpha(0.0)
    drawn = io.StringIO()
    # The same names for the same drawing, and others for that of another output on the page.
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    svg = re.sub(r"(?s)^.*?<svg", "", drawn.getvalue())
    for colour, of_page in _OF_PAGE.items():
        svg = svg.replace(colour, of_page)
    # What has no colour of its own is black. Letters stay legible where the page is narrow: the box scrolls.
    width = figure.get_figwidth() * 96
    style = (
        f'style="min-width: {_LEGIBLE * width:.0f}px; max-width: {width:.0f}px" fill="currentColor"'
    )
    return f'<div class="wide"><svg {style}{svg}</div>'
