"""What is told of a layer's statistics, and when a report has passed."""

from __future__ import annotations

import numpy as np
import pytest

from tfnorm.statistics.report.results import MEAN_TOLERANCE, STD_TOLERANCE, StatisticsResult


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({}, "ok"),
        ({"mean_difference": np.array([0, 0, -MEAN_TOLERANCE, 0])}, "ok"),
        ({"mean_difference": np.array([0, 0, -MEAN_TOLERANCE - 1e-6, 0])}, "off"),
        ({"std_ratio": np.array([1, STD_TOLERANCE - 1e-6, 1 / STD_TOLERANCE + 1e-6, 1])}, "ok"),
        ({"std_ratio": np.array([1, STD_TOLERANCE + 1e-6, 1, 1])}, "off"),
        ({"std_ratio": np.array([1, 1 / STD_TOLERANCE - 1e-6, 1, 1])}, "off"),
        ({"updated": False}, "never updated"),
        ({"updated": False, "by_batch": True}, "by batch"),
        ({"by_batch": True, "std_ratio": np.array([1, np.inf, 1, 1])}, "not finite"),
        ({"mean_difference": np.array([np.nan, 0, np.inf, 0])}, "not finite"),
        (
            {"mean_difference": np.full(4, np.nan), "std_ratio": np.full(4, np.nan)},
            "not called",
        ),
    ],
)
def test_the_state_is_the_worst_that_holds(layer_statistics, given, state):
    assert layer_statistics(**given).state == state


def test_the_worst_mean_is_the_farthest_from_0_and_the_median_is_of_sizes(layer_statistics):
    mean = layer_statistics(mean_difference=np.array([0.1, -0.5, np.nan, 0.2])).mean
    assert mean == (-0.5, 1, 0.2)


def test_the_worst_ratio_is_the_farthest_from_1_either_way(layer_statistics):
    std = layer_statistics(std_ratio=np.array([3.0, 0.25, np.nan, 1.0])).std
    assert std == (0.25, 1, 1.0)


def test_a_layer_without_values_has_no_worst_channel(layer_statistics):
    layer = layer_statistics(mean_difference=np.full(4, np.nan), std_ratio=np.full(4, np.nan))
    assert layer.mean is None
    assert layer.std is None
    assert layer.to_dict()["std_ratio"] is None


@pytest.mark.parametrize(
    ("states", "passed"),
    [
        (["ok", "ok"], True),
        (["ok", "not called"], True),
        (["not called"], False),
        ([], False),
        (["ok", "off"], False),
        (["ok", "never updated"], False),
    ],
)
def test_a_report_has_passed_where_every_layer_that_is_called_is_ok(
    layer_statistics, states, passed
):
    layers = {
        "ok": layer_statistics(),
        "off": layer_statistics(mean_difference=np.ones(4)),
        "never updated": layer_statistics(updated=False),
        "not called": layer_statistics(
            mean_difference=np.full(4, np.nan), std_ratio=np.full(4, np.nan)
        ),
    }
    assert StatisticsResult("ranker", 1, [layers[state] for state in states]).passed is passed
