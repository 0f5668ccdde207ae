"""A report as JSON, and as what prints itself."""

from __future__ import annotations

import json

import numpy as np
from rich.console import Console

from tfnorm.statistics import StatisticsReport
from tfnorm.statistics.report.text import to_text


def test_the_json_has_what_the_report_has(layer_statistics):
    first = layer_statistics(name="first", frozen=True, updated=False)
    second = layer_statistics(name="second", mean_difference=np.array([0, 0, 0.5, 0]))
    report = StatisticsReport("ranker", 7, [first, second])
    found = json.loads(report.to_json())
    assert (found["model"], found["batches"], found["passed"]) == ("ranker", 7, False)
    assert found["layers"] == [
        {
            "name": "first",
            "type": "tfnorm.Dice",
            "channels": 4,
            "values": 500,
            "updated": False,
            "frozen": True,
            "by_batch": False,
            "state": "never updated",
            "mean_difference": {"worst": 0.0, "channel": 0, "median": 0.0},
            "std_ratio": {"worst": 1.0, "channel": 0, "median": 1.0},
        },
        {
            **found["layers"][0],
            "name": "second",
            "updated": True,
            "frozen": False,
            "state": "off",
            "mean_difference": {"worst": 0.5, "channel": 2, "median": 0.0},
        },
    ]
    assert "\n" not in report.to_json(indent=None)


def test_a_number_that_is_not_finite_is_null(layer_statistics):
    layer = layer_statistics(std_ratio=np.array([1, np.inf, 1, 1]))
    (found,) = json.loads(StatisticsReport("ranker", 1, [layer]).to_json())["layers"]
    assert found["std_ratio"] == {"worst": None, "channel": 1, "median": 1.0}
    assert found["state"] == "not finite"


def test_it_prints_as_its_text_with_and_without_rich(layer_statistics):
    report = StatisticsReport("ranker", 1, [layer_statistics()])
    assert str(report) == to_text(report)
    console = Console(width=100, color_system=None, record=True, quiet=False)
    with console.capture() as captured:
        console.print(report)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert "\n".join(lines).strip() == str(report).strip()
