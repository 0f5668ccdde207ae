"""Logged against new scores, drawn as SVG without any package."""

from __future__ import annotations

import math
from html import escape

from tfnorm.replay.results import ModelResult

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _EDGE = 460, 380, 64, 44, 12
_TICKS = 8
"""At most so many, and one."""


def scatter(model: ModelResult) -> str:
    """An SVG element: a point for each row that was kept, the logged score across, the new one up.

    The diagonal is where the two are equal. Colours are the page's.
    """
    values = [value for pair in model.points for value in pair]
    if not values:
        return ""
    low, high = min(values), max(values)
    room = (high - low) * 0.03 or 0.5
    low, high = low - room, high + room

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _EDGE)

    def up(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _EDGE)

    ticks, digits = _ticks(low, high)
    marks = "".join(
        f'<line class="grid" x1="{across(t):.1f}" x2="{across(t):.1f}" y1="{_EDGE}" '
        f'y2="{_HEIGHT - _BOTTOM}"/>'
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _EDGE}" y1="{up(t):.1f}" y2="{up(t):.1f}"/>'
        f'<text x="{across(t):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{t:.{digits}f}</text>'
        f'<text x="{_LEFT - 6}" y="{up(t) + 4:.1f}" text-anchor="end">{t:.{digits}f}</text>'
        for t in ticks
    )
    points = "".join(
        f'<circle cx="{across(logged):.1f}" cy="{up(new):.1f}" r="2.5"/>'
        for logged, new in model.points
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="logged scores against those of {escape(model.target)}">{marks}'
        f'<line class="equal" x1="{across(low):.1f}" y1="{up(low):.1f}" x2="{across(high):.1f}" '
        f'y2="{up(high):.1f}"/><g class="points">{points}</g>'
        f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">logged</text>'
        f'<text transform="translate(14 {(_HEIGHT - _BOTTOM) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">new</text></svg>'
    )


def _ticks(low: float, high: float) -> tuple[list[float], int]:
    """Round numbers between two, 1, 2 or 5 of a power of ten apart, and the decimals that they have."""
    least = (high - low) / _TICKS
    power = math.floor(math.log10(least))
    step = next(n * 10.0**power for n in (1, 2, 5, 10) if n * 10.0**power >= least)
    digits = max(0, -math.floor(math.log10(step)))
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)], digits
