"""What `StatisticsCallback` writes, read back as TensorBoard reads it."""

from __future__ import annotations

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.errors import InputError
from tfnorm.statistics import StatisticsCallback


def events(log_dir) -> dict[str, dict[int, np.ndarray]]:
    """Tag -> step -> value."""
    found: dict[str, dict[int, np.ndarray]] = {}
    for path in (log_dir / "statistics").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor)
    return found


@pytest.fixture
def model() -> keras.Model:
    model = keras.Sequential(
        [keras.Input((4,)), tfnorm.Dice(name="dice"), keras.layers.Dense(1)], name="ranker"
    )
    model.compile("sgd", "mse")
    return model


def test_each_epoch_is_written_with_its_own_statistics(rows, model, tmp_path):
    moving = {}
    remember = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: moving.update({epoch: model.layers[0].moving_mean.numpy()})
    )
    callback = StatisticsCallback(tmp_path, [rows[:300], rows[300:]])
    model.fit(rows, rows[:, :1], epochs=3, callbacks=[callback, remember], verbose=0)
    found = events(tmp_path)
    _, mean, variance = oracles.moments(rows)
    for epoch in range(3):
        off = np.abs((moving[epoch] - mean) / np.sqrt(variance + model.layers[0].epsilon))
        assert abs(found["dice/mean_difference_worst"][epoch]) == pytest.approx(off.max(), rel=1e-4)
        median = found["dice/mean_difference_median"][epoch]
        assert median == pytest.approx(np.median(off), rel=1e-4)
        assert found["dice/mean_difference"][epoch][:, 2].sum() == 4
        assert found["dice/std_ratio"][epoch][:, 2].sum() == 4
        assert found["dice/ever_updated"][epoch] == 1
    assert callback.report.layers[0].updated


def test_training_is_the_same_with_it_and_without(rows, model, tmp_path):
    before = model.get_weights()
    after = []
    for callbacks in ([], [StatisticsCallback(tmp_path, rows)]):
        model.set_weights(before)
        model.fit(rows, rows[:, :1], shuffle=False, callbacks=callbacks, verbose=0)
        after.append(model.get_weights())
    for without, with_it in zip(*after, strict=True):
        np.testing.assert_array_equal(without, with_it)


def test_a_generator_serves_every_epoch(rows, model, tmp_path):
    callback = StatisticsCallback(tmp_path, (rows[i : i + 100] for i in range(0, 500, 100)), 4)
    model.fit(rows, rows[:, :1], epochs=2, callbacks=[callback], verbose=0)
    assert callback.report.batches == 4
    assert sorted(events(tmp_path)["dice/std_ratio_worst"]) == [0, 1]


def test_a_dataset_that_does_not_fit_is_refused_before_training(rows, model, tmp_path):
    before = model.get_weights()
    with pytest.raises(InputError, match="'ranker' can't run on a batch of"):
        callback = StatisticsCallback(tmp_path, [rows[:, :3]])
        model.fit(rows, rows[:, :1], callbacks=[callback], verbose=0)
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)
