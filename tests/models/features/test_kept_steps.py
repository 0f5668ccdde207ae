import numpy as np
import pytest
import tensorflow as tf

from tfnorm.models.features.kept_steps import KeptSteps

RNG = np.random.default_rng(0)
LENGTHS = np.array([0, 1, 3, 4, 5, 9])
THERE = np.arange(9) < LENGTHS[:, None]
IDS = (RNG.integers(1, 100, THERE.shape) * THERE).astype(np.int32)
COLUMNS = {
    "ids": IDS,
    "words": np.where(THERE, IDS.astype("S"), b""),
    "seconds": (RNG.normal(size=THERE.shape) * THERE).astype(np.float32),
}


def kept_of(array, length, keep):
    """Each row by itself, padded again."""
    found = np.zeros((len(array), min(length, array.shape[1])), array.dtype)
    for row, values, end in zip(found, array, LENGTHS, strict=True):
        there = values[:end][-length:] if keep == "newest" else values[:end][:length]
        row[: len(there)] = there
    return found


@pytest.mark.parametrize("first", ["ids", "words"])
@pytest.mark.parametrize("keep", ["newest", "oldest"])
@pytest.mark.parametrize("length", [1, 4, 8, 9, 50])
def test_it_keeps_the_newest_or_the_oldest_steps_of_each_row(length, keep, first):
    names = [first, *(name for name in COLUMNS if name != first)]
    layer = KeptSteps(length, keep)
    given = [tf.constant(COLUMNS[name]) for name in names]
    free = [tf.TensorSpec([None, None], x.dtype) for x in given]
    for found in (layer(given), tf.function(layer, input_signature=[free])(given)):
        for name, array in zip(names, found, strict=True):
            np.testing.assert_array_equal(array, kept_of(COLUMNS[name], length, keep), name)
            assert array.dtype == given[names.index(name)].dtype


@pytest.mark.parametrize("dtype", [tf.int64, tf.string])
def test_histories_without_a_step_stay_so(dtype):
    call = tf.function(KeptSteps(3), input_signature=[[tf.TensorSpec([None, None], dtype)]])
    assert call([tf.zeros([2, 0], dtype)])[0].shape == (2, 0)
    assert call([tf.zeros([0, 7], dtype)])[0].shape == (0, 3)


def test_numbers_are_cut_in_full_precision_under_every_policy():
    given = [tf.constant(COLUMNS["ids"]), tf.constant(COLUMNS["seconds"])]
    found = KeptSteps(4, dtype="mixed_float16")(given)
    assert found[1].dtype == tf.float32
