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


def test_inputs_whose_zeros_are_values_are_left_as_they_are(pooled):
    (seven,) = Padding(["words"]).pairs(pooled)
    assert seven.feeds[1]["long"].shape == (6, 13, 2)


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


def test_examples_are_watched_that_have_no_padding_of_their_own(probe_of):
    long = np.ones((6, 7, 2), np.float32)
    long[:, 5:] = 0
    long[::2, 3:] = 0
    probe = probe_of(lambda x: {"score": tf.reduce_sum(x, axis=[1, 2])}, LONG)
    batches = Batches(probe.signature, {"long": long})
    (pair,) = Padding().pairs(Subject(probe, batches, 2, 6))
    first, second = (feeds["long"] for feeds in pair.feeds)
    np.testing.assert_array_equal(first, np.ones((6, 5, 2)))
    np.testing.assert_array_equal(second[:, :5], first)
    assert not second[:, 5:].any()
    assert (pair.alignment.watched, pair.alignment.sizes) == (5, (5, 10))


def _attention(x, mask):
    scores = tf.matmul(x, x, transpose_b=True)
    if mask is not None:
        both = tf.logical_and(mask[:, :, None], mask[:, None, :])
        scores = tf.where(both, scores, -1e9)
    return tf.matmul(tf.nn.softmax(scores), x)


@pytest.mark.parametrize(
    ("masked", "pool", "blamed"),
    [
        ((True, True), "sum", None),
        ((True, True), "mean", "Mean"),
        ((True, False), "sum", "Softmax"),
        ((False, True), "sum", "Softmax"),
    ],
)
def test_masked_attention_between_the_steps_is_not_accused(probe_of, masked, pool, blamed):
    def call(x):
        mask = tf.reduce_any(x != 0, axis=-1)
        for number, whether in enumerate(masked):
            with tf.name_scope(f"block_{number}"):
                x = _attention(x, mask if whether else None) + x
        kept = tf.cast(mask, tf.float32)[..., None] * x
        return tf.reduce_sum(kept, axis=1) if pool == "sum" else tf.reduce_mean(kept, axis=1)

    long = np.random.default_rng(0).normal(size=(6, 7, 2)).astype(np.float32)
    long[::2, 4:] = 0
    probe = probe_of(lambda x: {"score": call(x)}, LONG)
    found = Padding().find(Subject(probe, Batches(probe.signature, {"long": long}), 2, 6))
    if blamed is None:
        assert found is None
    else:
        assert found.region.nodes[found.node].op == blamed
        if blamed == "Softmax":
            block = masked.index(False)
            assert f"block_{block}/" in found.region.origins[found.node].name
