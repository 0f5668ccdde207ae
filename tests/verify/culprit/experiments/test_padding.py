"""The same batch, padded longer."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.experiment import Subject
from tfnorm.verify.culprit.experiments.padding import Padding

IDS = tf.TensorSpec([None, None], tf.int64, "ids")
LONG = tf.TensorSpec([None, None, 2], tf.float32, "long")
WORDS = tf.TensorSpec([None, None], tf.string, "words")
EXAMPLES = {
    "ids": np.ones((6, 4), np.int64),
    "long": np.ones((6, 7, 2), np.float32),
    "words": np.full((6, 4), "a", object),
}


def _subject(probe_of, call, *specs):
    probe = probe_of(lambda *given: {"score": call(*given)}, *specs)
    examples = {spec.name: EXAMPLES[spec.name] for spec in specs}
    return Subject(probe, Batches(probe.signature, examples), 2, 6)


def _pooled(ids, long, words):
    count = tf.strings.length(words)
    parts = [tf.reduce_sum(tf.cast(part, tf.float32), axis=1) for part in (ids, count)]
    return tf.add_n([*parts, tf.reduce_sum(long, axis=[1, 2])])


@pytest.fixture(scope="module")
def pooled(probe_of):
    """Three inputs of variable length, each summed up."""
    return _subject(probe_of, _pooled, IDS, LONG, WORDS)


def test_inputs_of_equal_length_grow_together_with_nothing_in_them(pooled):
    four, seven = Padding().pairs(pooled)
    shapes = {name: array.shape for name, array in four.feeds[1].items()}
    assert shapes == {"ids": (6, 9), "long": (6, 7, 2), "words": (6, 9)}
    assert (four.feeds[1]["ids"][:, 4:] == 0).all()
    assert (four.feeds[1]["words"][:, 4:] == b"").all()
    np.testing.assert_array_equal(four.feeds[1]["ids"][:, :4], EXAMPLES["ids"])
    assert seven.feeds[1]["long"].shape == (6, 13, 2)
    assert seven.feeds[1]["ids"].shape == (6, 4)
    assert (four.alignment.watched, four.alignment.sizes) == (4, (4, 9))


def test_sums_that_take_nothing_of_the_padding_are_not_accused(pooled):
    assert Padding().find(pooled) is None


def test_what_takes_the_padding_for_values_is_accused(probe_of):
    found = Padding().find(_subject(probe_of, lambda x: tf.reduce_mean(x, axis=1), LONG))
    assert found.explanation == "Mean takes the padding for values"
    assert "Mask the padding" in found.advice


def test_padding_is_watched_in_all_rows_and_not_in_the_first_alone(probe_of):
    def last_row_alone(x):
        weights = tf.cast(tf.range(tf.shape(x)[0]) > 2, tf.float32)
        return tf.reduce_mean(tf.tanh(x), axis=[1, 2]) * weights

    assert Padding().find(_subject(probe_of, last_row_alone, LONG)) is not None


def test_a_signature_without_variable_lengths_has_no_pairs(probe_of):
    fixed = tf.TensorSpec([None, 7, 2], tf.float32, "long")
    assert list(Padding().pairs(_subject(probe_of, tf.tanh, fixed))) == []


def test_an_input_without_steps_is_not_padded(probe_of):
    probe = probe_of(lambda x: {"score": tf.reduce_sum(x, axis=[1, 2])}, LONG)
    batches = Batches(probe.signature, {"long": np.ones((6, 0, 2), np.float32)})
    assert list(Padding().pairs(Subject(probe, batches, 2, 6))) == []
