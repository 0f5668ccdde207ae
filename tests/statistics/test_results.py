"""Whether statistics fit, as data: there and back through JSON."""

import json
import math

import pytest

from tfnorm.statistics.judgement import Estimate, Residue
from tfnorm.statistics.results import LayerFit, StatisticsFit


def layer(name, difference, ratio):
    residue = Residue(Estimate(0.3, 0.05, 0.01), None, settled=True)
    return LayerFit(name, residue, 0, 1.0, 2.0, 3.0, 4.0, (difference, 0.5), (ratio, 1.5))


def test_json_gives_back_what_it_was_given():
    fit = StatisticsFit("off", 64, (layer("a", -0.25, 0.75),), 0.3, 0.9, 0.1, ("b",))
    document = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert StatisticsFit.from_dict(document) == fit
    assert document["text"] == f"the moving statistics {fit}"


def test_what_is_not_finite_is_null_in_json():
    fit = StatisticsFit("undecided", 8, (layer("a", math.inf, 0.0),), None, math.nan, math.nan)
    found = StatisticsFit.from_dict(json.loads(json.dumps(fit.to_dict(), allow_nan=False)))
    assert math.isnan(found.effect) and math.isnan(found.layers[0].mean_difference[0])
    assert found.layers[0].mean_difference[1] == 0.5


@pytest.mark.parametrize(
    ("difference", "ratio", "distance"),
    [(-0.5, 1.0, 0.5), (0.0, 2.0, math.log(2)), (1.0, 0.0, math.inf), (math.nan, 1.0, 0.0)],
)
def test_a_channel_is_as_far_off_as_its_mean_and_its_standard_deviation(
    difference, ratio, distance
):
    assert layer("a", difference, ratio).distance == pytest.approx(distance)


def test_the_worst_layer_is_the_one_with_the_farthest_channel():
    layers = (layer("near", 0.1, 1.0), layer("far", -3.0, 1.0))
    assert StatisticsFit("off", 64, layers, 0.3, 0.9, 0.1).worst.name == "far"


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.3, "30% or more of the initial values is left"),
        (1.0, "all of the initial values are left"),
    ],
)
def test_how_much_of_the_initial_values_is_left_is_said(share, said):
    fit = StatisticsFit("off", 64, (layer("a", -0.25, 0.75),), share, 0.9, 0.1)
    assert said in str(fit)
