"""What `recalibrate_statistics` does not take, and what stops it: the model stays as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import pytest

import tfnorm
from tfnorm.errors import InputError
from tfnorm.statistics import recalibrate_statistics


@pytest.fixture
def model() -> keras.Model:
    blocks = [keras.layers.Dense(3), tfnorm.Dice(), keras.layers.BatchNormalization()]
    return keras.Sequential([keras.Input((4,)), *blocks], name="ranker")


@contextlib.contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    before = model.get_weights()
    yield
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)
    assert not any("call" in vars(layer) for layer in model.layers)


@pytest.mark.parametrize("pass_number", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_whatever_stops_it_leaves_the_model_as_it_was(model, rows, error, pass_number):
    class Stopped:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield rows
            if self.passes == pass_number:
                raise error

    with unchanged(model), pytest.raises(error):
        recalibrate_statistics(model, Stopped())


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda rows: [], "the dataset has no batches"),
        (lambda rows: [rows[:0]], "the batches are empty"),
        (lambda rows: [rows, rows[:, :3]], r"'ranker' can't run on a batch of float32 \[500, 3\]"),
        (lambda rows: [rows[0]], r"a batch of float32 \[4\]: .*shape"),
        (lambda rows: [rows.astype(str)], r"a batch of str\d+ \[500, 4\]: Cast string to float"),
        (lambda rows: [rows, object()], "can't run on a batch of object"),
        (lambda rows: [np.where(rows > 5, np.nan, rows)], "not finite in 3 of its 3 channels"),
        (lambda rows: [[rows] * 4], "a batch is a list of 4; accepted: x"),
        (lambda rows: 5, "dataset is a int; accepted: a tf.data.Dataset"),
    ],
)
def test_a_dataset_that_can_not_be_used_is_one_clear_error(model, rows, dataset, message):
    with unchanged(model), pytest.raises(InputError, match=message) as raised:
        recalibrate_statistics(model, dataset(rows))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]),
            "no layer with moving statistics: no tfnorm.BatchNormalization, tfnorm.Dice or",
        ),
        (
            lambda: keras.Sequential([keras.Input((4,)), tfnorm.Dice(trainable=False)]),
            r"are frozen \(trainable=False\); set trainable=True on those",
        ),
        (lambda: keras.Sequential([tfnorm.Dice()], name="new"), "'new' has no weights yet"),
        (tfnorm.Dice, "model is a Dice; accepted: a built keras.Model"),
    ],
)
def test_a_model_that_can_not_be_used_is_one_clear_error(rows, make, message):
    with pytest.raises(InputError, match=message):
        recalibrate_statistics(make(), [rows])


def test_a_layer_that_feeds_itself_and_does_not_settle_is_refused(rows):
    """Each call halves the values or doubles them, by how the last pass found them."""
    inputs = keras.Input((4,))
    layer = tfnorm.BatchNormalization(epsilon=0.0, center=False, scale=False)
    model = keras.Model(inputs, layer(layer(inputs) * 3.0) * 1.0)
    with unchanged(model), pytest.raises(InputError, match="don't settle in 101 passes"):
        recalibrate_statistics(model, [rows * 0.01])
