import dataclasses
import math
import re
import sys

import pytest
from verify.made_reports import make_report

from tfnorm.errors import InputError
from tfnorm.verify.report.plot import check_matplotlib, plot

COLOURS = {"same": "var(--good)", "rounding": "var(--point)", "dependence": "var(--bad)"}


def _points(moves):
    """What is drawn of (batch size, move, verdict): the places of the points, across and down."""
    report = make_report()
    (result,) = report.compositions
    move = result.outputs["score"]
    results = [
        dataclasses.replace(
            result,
            batch_size=size,
            outputs={"score": dataclasses.replace(move, max_abs_diff=moved, verdict=verdict)},
        )
        for size, moved, verdict in moves
    ]
    drawn = plot(dataclasses.replace(report, compositions=results), "score")
    axes = drawn.partition('id="legend_1"')[0]
    points = re.findall(
        r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)" style="fill: (var\(--\w+\))', axes
    )
    return [(float(x), float(y), colour) for x, y, colour in points]


def test_larger_batches_are_further_right_and_larger_moves_further_up():
    points = _points([(2, 1e-7, "dependence"), (8, 1e-5, "dependence"), (32, 1e-3, "dependence")])
    across, down, _ = zip(*points, strict=True)
    assert across[1] - across[0] == pytest.approx(across[2] - across[1])
    assert across[0] < across[1]
    assert down[0] > down[1] > down[2]


def test_each_verdict_has_its_colour():
    points = _points([(2, 0.0, "same"), (4, 1e-7, "rounding"), (8, 1e-2, "dependence")])
    assert [colour for *_, colour in points] == list(COLOURS.values())


def test_an_infinite_move_is_drawn_above_all_others():
    (_, finite, _), (_, infinite, _) = _points(
        [(2, 1e-3, "dependence"), (8, math.inf, "dependence")]
    )
    assert 0 < infinite < finite


def test_drawings_of_two_outputs_share_no_names_and_of_one_all():
    report = make_report()
    (result,) = report.compositions
    result = dataclasses.replace(result, outputs=dict.fromkeys("ab", result.outputs["score"]))
    report = dataclasses.replace(report, compositions=[result])
    first, again, second = (
        set(re.findall(r'<path id="(m\w+)"', plot(report, output))) for output in "aab"
    )
    assert first and first == again
    assert not first & second


def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch):
    check_matplotlib()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"pip install '\.\[report\]'"):
        check_matplotlib()
