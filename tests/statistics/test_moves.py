import keras
import numpy as np
import pytest

from tfnorm.layers import BatchNormalization
from tfnorm.statistics.moves import recalibrated


def test_a_move_is_that_of_the_channel_that_moved_farthest(rows):
    model = keras.Sequential([keras.Input((4,)), BatchNormalization(name="bn")])
    layer = model.layers[0]
    std = np.sqrt(rows.astype(np.float64).var(0) + layer.epsilon)
    wrong = rows.mean(0)
    wrong[2] -= 5 * std[2]
    layer.moving_mean.assign(wrong)
    layer.moving_variance.assign(rows.var(0))
    (move,) = recalibrated(model, rows)
    assert (move.layer, move.channel) == ("bn", 2)
    assert move.mean == pytest.approx(5, rel=1e-4)
    assert move.std == pytest.approx(1, rel=1e-4)
