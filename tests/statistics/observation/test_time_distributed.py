"""What `keras.layers.TimeDistributed` gives the layer inside it, with steps that are known and free."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tfnorm
from tfnorm.statistics import recalibrate_statistics
from tfnorm.statistics.observation.time_distributed import all_steps_at_once


@pytest.mark.parametrize("steps", [5, None])
@pytest.mark.parametrize("kind", [tfnorm.Dice, keras.layers.BatchNormalization])
def test_every_step_is_a_row_of_its_own(rows, assert_statistics, kind, steps):
    sequences = rows.reshape(100, 5, 4)
    inner = keras.Sequential([keras.Input((4,)), kind()])
    wrapper = keras.layers.TimeDistributed(inner)
    model = keras.Sequential([keras.Input((steps, 4)), wrapper])
    recalibrate_statistics(model, [sequences[:60], sequences[60:]])
    assert_statistics(inner.layers[0], sequences)


@pytest.mark.parametrize("steps", [5, None])
def test_masked_steps_do_not_count(assert_statistics, steps):
    ids = np.array([[1, 2, 0, 0, 0], [3, 1, 1, 0, 0], [2, 2, 1, 3, 3]])
    embedding = keras.layers.Embedding(4, 3, mask_zero=True)
    layer = tfnorm.Dice()
    model = keras.Sequential(
        [keras.Input((steps,)), embedding, keras.layers.TimeDistributed(layer)]
    )
    recalibrate_statistics(model, [ids])
    assert_statistics(layer, embedding.embeddings.numpy()[ids[ids != 0]])


@pytest.mark.parametrize("steps", [5, None])
def test_the_outputs_are_those_of_keras(rows, steps):
    sequences = rows.reshape(100, 5, 4)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), tfnorm.Dice()])
    wrapper = keras.layers.TimeDistributed(inner)
    model = keras.Sequential([keras.Input((steps, 4)), wrapper])
    inputs = keras.ops.convert_to_tensor(sequences)
    np.testing.assert_allclose(all_steps_at_once(wrapper)(inputs), model(inputs), rtol=1e-6)
