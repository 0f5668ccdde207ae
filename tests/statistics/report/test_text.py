"""A report as the terminal shows it."""

from __future__ import annotations

import numpy as np
import pytest

from tfnorm.statistics.report.results import StatisticsResult
from tfnorm.statistics.report.text import to_text


def words(*layers) -> str:
    return " ".join(to_text(StatisticsResult("ranker", 1, list(layers))).split())


def test_the_table_names_each_layer_its_state_and_what_to_do(layer_statistics):
    layers = [
        layer_statistics(name="dice_0", updated=False, frozen=True),
        layer_statistics(name="dice_1", updated=False),
        layer_statistics(name="dice_2", mean_difference=np.array([0, 0, 9, 0])),
    ]
    lines = to_text(StatisticsResult("ranker", 1, layers)).splitlines()
    assert lines[0] == "ranker  3 layers with moving statistics  1 batch"
    assert [line.split()[0] for line in lines[3:6]] == ["dice_0", "dice_1", "dice_2"]
    assert lines[3].endswith("never updated, frozen")
    assert lines[5].endswith("off")
    assert "+9.00 (2)" in lines[5]
    text = words(*layers)
    assert "FAILED 2 of 3 never updated: the moving statistics are still at their initial" in text
    assert "next tfnorm.recalibrate_statistics(model, dataset) makes them exact" in text
    assert "next recalibrate_statistics leaves frozen layers alone" in text


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "PASSED all moving statistics are near the data's"),
        ({"by_batch": True}, "next leave training=True out where the layer is called"),
        ({"std_ratio": np.array([1, np.inf, 1, 1])}, "next look for NaN or infinite values"),
        (
            {"mean_difference": np.full(4, np.nan), "std_ratio": np.full(4, np.nan)},
            "FAILED no layer with moving statistics is given a value in inference",
        ),
    ],
)
def test_the_verdict_says_what_to_do_next(layer_statistics, given, line):
    assert line in words(layer_statistics(**given))


def test_a_large_model_still_fits_a_screen_and_shows_the_layers_that_are_off(layer_statistics):
    layers = [
        layer_statistics(
            name=f"{'long_' * 10}dice_{number}",
            values=123_456_789,
            frozen=True,
            mean_difference=np.full(300, -1e6 if number == 39 else 0.0),
            std_ratio=np.ones(300),
        )
        for number in range(40)
    ]
    lines = to_text(StatisticsResult("ranker", 10, layers)).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert any("dice_39" in line and line.endswith("off, frozen") for line in lines)
    assert any("30 more: 30 ok" in line for line in lines)
