import json

import keras
import numpy as np
import pytest

from tfnorm.layers import BatchNormalization
from tfnorm.statistics import recalibrate_statistics


def test_a_move_is_that_of_the_channel_that_moved_farthest(rows):
    model = keras.Sequential([keras.Input((4,)), BatchNormalization(name="bn")])
    layer = model.layers[0]
    std = np.sqrt(rows.astype(np.float64).var(0) + layer.epsilon)
    wrong = rows.mean(0)
    wrong[2] -= 5 * std[2]
    layer.moving_mean.assign(wrong)
    layer.moving_variance.assign(rows.var(0))
    (move,) = recalibrate_statistics(model, rows).moves
    assert (move.layer, move.channel) == ("bn", 2)
    assert move.mean == pytest.approx(5, rel=1e-4)
    assert move.std == pytest.approx(1, rel=1e-4)


def test_what_was_done_is_a_list_of_names_and_standard_json(rows):
    model = keras.Sequential([keras.Input((4,)), BatchNormalization(name="bn")])
    done = recalibrate_statistics(model, [rows[:300], rows[300:]])
    assert done == ["bn"]
    found = json.loads(done.to_json())
    assert (found["examples"], found["passes"]) == (500, 1)
    assert found["standard_error"] == pytest.approx(1 / np.sqrt(499), rel=1e-3)
    assert [layer["layer"] for layer in found["layers"]] == ["bn"]


def test_one_example_has_no_standard_error(rows):
    model = keras.Sequential([keras.Input((4,)), BatchNormalization()])
    done = recalibrate_statistics(model, rows[:1])
    assert done.standard_error == np.inf
    assert json.loads(done.to_json())["standard_error"] is None
