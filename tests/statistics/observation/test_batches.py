"""Everything that holds a dataset gives the same population."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.errors import InputError
from tfnorm.statistics import recalibrate_statistics, statistics_report
from tfnorm.statistics.observation.batches import Batches


class Sequence(keras.utils.PyDataset):
    def __init__(self, rows: np.ndarray, batches: int | None):
        super().__init__()
        self.rows = rows
        self.batches = batches

    @property
    def num_batches(self) -> int | None:
        return self.batches

    def __getitem__(self, index: int):
        part = self.rows[index * 100 : (index + 1) * 100]
        return part, part[:, 0]


def endless(rows: np.ndarray) -> Iterator[np.ndarray]:
    yield from itertools.cycle(np.split(rows, 5))


DATASETS = {
    "tf.data of x": lambda x: (tf.data.Dataset.from_tensor_slices(x).batch(64), None),
    "tf.data of x, y, w": lambda x: (
        tf.data.Dataset.from_tensor_slices((x, x[:, 0], x[:, 1])).batch(64),
        None,
    ),
    "endless tf.data": lambda x: (tf.data.Dataset.from_tensor_slices(x).batch(100).repeat(), 5),
    "tf.data iterator": lambda x: (iter(tf.data.Dataset.from_tensor_slices(x).batch(64)), None),
    "PyDataset": lambda x: (Sequence(x, 5), None),
    "endless PyDataset": lambda x: (Sequence(x, None), 5),
    "list of (x,)": lambda x: ([(part,) for part in np.split(x, 5)], None),
    "list of lists": lambda x: ([[part, part] for part in np.split(x, 5)], None),
    "generator": lambda x: ((part for part in np.split(x, 5)), None),
    "generator function": lambda x: ((lambda: (part for part in np.split(x, 5))), None),
    "endless generator function": lambda x: ((lambda: endless(x)), 5),
    "endless generator": lambda x: (endless(x), 5),
    "array": lambda x: (x, None),
    "float64 array": lambda x: (x.astype(np.float64), None),
    "tensor": lambda x: (tf.constant(x), None),
    "more steps than batches": lambda x: ([x], 9),
}


@pytest.mark.parametrize("make", DATASETS.values(), ids=DATASETS.keys())
def test_whatever_holds_it_a_dataset_gives_the_same_statistics(rows, make, assert_statistics):
    layers = [tfnorm.Dice(), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((4,)), *layers])
    dataset, steps = make(rows)
    recalibrate_statistics(model, dataset, steps)
    assert_statistics(layers[0], rows)
    assert layers[1].moving_mean.numpy().any()


def test_arrays_by_name_are_examples(rows, assert_statistics):
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    layer = tfnorm.Dice()
    model = keras.Model(inputs, layer(inputs["a"] - inputs["b"]))
    many = np.tile(rows, (5, 1))
    recalibrate_statistics(model, {"a": many, "b": 3 * many})
    assert_statistics(layer, -2 * rows)


def test_batches_that_do_not_say_how_many_they_are_are_counted(rows):
    batches = Batches(lambda: iter(np.split(rows, 5)), None)
    assert batches.count() is None
    assert len(batches.first()) == 1 and batches.count() is None
    assert len(list(batches)) == batches.count() == 5


def test_steps_take_the_first_batches(rows):
    model = keras.Sequential([keras.Input((4,)), tfnorm.Dice()])
    report = statistics_report(model, np.split(rows, 5), steps=2)
    assert (report.batches, report.layers[0].values) == (2, 200)


@pytest.mark.parametrize(
    ("dataset", "steps", "message"),
    [
        (lambda x: tf.data.Dataset.from_tensors(x).repeat(), None, "the dataset has no end; give"),
        (lambda x: Sequence(x, None), None, "the dataset has no end; give steps"),
        (lambda x: [x], 0, "steps is 0; accepted: 1 or more"),
        (lambda x: [x], 2.5, "steps is 2.5; accepted: 1 or more"),
        (lambda x: "train.csv", None, "dataset is a str; accepted: a tf.data.Dataset"),
        (lambda x: {"a": x, "b": x[:9]}, None, "the arrays can't be cut in batches"),
        (lambda x: lambda: 5, None, "dataset is a function that gives a int; accepted: one that"),
        (lambda x: tf.data.Dataset, None, "dataset is a (ABC)?[mM]eta"),
        (lambda x: {}, None, "the arrays can't be cut in batches"),
    ],
)
def test_what_gives_no_batches_is_one_clear_error(rows, dataset, steps, message):
    model = keras.Sequential([keras.Input((4,)), tfnorm.Dice()])
    with pytest.raises(InputError, match=message) as raised:
        statistics_report(model, dataset(rows), steps)
    assert "\n" not in str(raised.value)
