"""The same rows in batches of other sizes."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.batch_size import BatchSize
from tfnorm.verify.culprit.experiments.experiment import Subject

X = tf.TensorSpec([None, 2], tf.float32, "x")
EXAMPLES = {"x": np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)}


def _found(probe_of, call, sizes, spec=X):
    probe = probe_of(lambda x: {"score": call(x)}, spec)
    batches = Batches(probe.signature, EXAMPLES)
    return BatchSize(sizes).find(Subject(probe, batches, 3, batches.fixed_size or 8))


def _above_twenty(x):
    return tf.where(tf.shape(x)[0] > 20, 2.0 * x, x)


def test_the_sizes_given_are_those_compared(probe_of):
    assert _found(probe_of, _above_twenty, [2, 16]) is None
    found = _found(probe_of, _above_twenty, [2, 32])
    assert found.region.nodes[found.node].op == "SelectV2"
    assert "batch size flows in here, from" in found.explanation
    assert "Leave the batch size out" in found.advice


def test_a_size_that_the_model_refuses_is_left_out(probe_of):
    def at_most_ten(x):
        with tf.control_dependencies([tf.debugging.assert_less(tf.shape(x)[0], 10)]):
            return x * tf.cast(tf.shape(x)[0], tf.float32)

    found = _found(probe_of, at_most_ten, [50, 6])
    assert found.region.nodes[found.node].op == "Mul"


def test_a_fixed_batch_dimension_has_no_other_sizes(probe_of):
    spec = tf.TensorSpec([9, 2], tf.float32, "x")
    assert (
        _found(probe_of, lambda x: x * tf.cast(tf.shape(x)[0], tf.float32), [2, 32], spec) is None
    )


def test_scores_that_the_size_does_not_flow_into_are_not_accused(probe_of):
    assert _found(probe_of, lambda x: tf.nn.softmax(x), [2, 32]) is None


def test_a_row_that_is_near_nothing_is_not_accused_of_its_rounding(probe_of):
    """A product for one row adds up in another order than for many, and here next to nothing is left."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(300, 1))
    x = generator.normal(size=(9, 300))
    x[0] -= weights[:, 0] * (x[0] @ weights[:, 0]) / (weights**2).sum()
    x = x.astype(np.float32)
    weights = tf.constant(weights, tf.float32)
    probe = probe_of(
        lambda x: {"score": tf.linalg.matmul(x, weights)},
        tf.TensorSpec([None, 300], tf.float32, "x"),
    )
    subject = Subject(probe, Batches(probe.signature, {"x": x}), 3, 8)
    assert BatchSize([1, 9]).find(subject) is None


def test_a_squeeze_of_all_axes_loses_the_batch_dimension_of_one_example(probe_of):
    found = _found(probe_of, lambda x: tf.squeeze(tf.tanh(x[:, :1])), [32, 1])
    assert found.region.nodes[found.node].op == "Squeeze"
    assert found.explanation == "Squeeze loses the batch dimension in a batch of 1"
    assert "axis=-1" in found.advice
    kept = _found(probe_of, lambda x: tf.squeeze(tf.tanh(x[:, :1]), axis=1), [32, 1])
    assert kept is None


def test_a_squeeze_after_which_one_example_is_refused_is_found_before_the_op_that_refuses(probe_of):
    def layers(squeeze):
        return lambda x: tf.tanh(squeeze(tf.tanh(x)[:, None, :])) @ tf.ones([2, 3])

    found = _found(probe_of, layers(tf.squeeze), [32, 1])
    assert found.region.nodes[found.node].op == "Squeeze"
    assert found.explanation == "Squeeze loses the batch dimension in a batch of 1"
    assert _found(probe_of, layers(lambda x: tf.squeeze(x, axis=1)), [32, 1]) is None


def test_a_score_that_becomes_nan_in_a_large_batch_has_moved(probe_of):
    def broken(x):
        return x * tf.where(tf.shape(x)[0] > 20, np.float32(np.nan), 1.0)

    found = _found(probe_of, broken, [2, 32])
    assert found.region.nodes[found.node].op == "Mul"


def test_examples_that_the_graph_itself_pads_to_the_longest_are_blamed_on_who_sums_the_padding(
    probe_of,
):
    words = np.array(["a", "b a", "c", "a b c d"] * 3)
    table = tf.random.normal([6, 3], seed=1)

    def scores(masked):
        def call(text):
            ids = tf.strings.to_hash_bucket_fast(tf.strings.split(text), 6).to_tensor(0)
            rows = tf.gather(table, ids)
            if masked:
                split = tf.strings.split(text).to_tensor("")
                rows *= tf.cast(split != "", tf.float32)[..., None]
            return {"score": tf.reduce_sum(rows, axis=1)}

        return call

    for masked in (False, True):
        probe = probe_of(scores(masked), tf.TensorSpec([None], tf.string, "text"))
        subject = Subject(probe, Batches(probe.signature, {"text": words}), 3, 8)
        found = BatchSize([2, 16]).find(subject)
        if masked:
            assert found is None
        else:
            assert found.region.nodes[found.node].op == "Sum"
            assert "what the batch is filled up with" in found.explanation


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: tf.reshape(x[:, 0], [1, -1]), "Reshape gives 1 rows for a batch of 2"),
        (lambda x: tf.reshape(x[:, 0], [1, tf.shape(x)[0]]), "Reshape gives 1 rows"),
        (lambda x: tf.transpose(tf.tanh(x)), "Transpose gives 2 rows"),
        (lambda x: tf.reshape(tf.tanh(x), [-1]), "Reshape gives 4 rows"),
        (lambda x: tf.tanh(tf.concat([x, x], 0)), "ConcatV2 gives 4 rows"),
    ],
    ids=["one row", "one row of as many", "transposed", "flat", "twice"],
)
def test_what_gives_another_number_of_rows_than_the_batch_has_is_accused(probe_of, call, said):
    found = _found(probe_of, call, [2, 7])
    assert found.explanation.startswith(said)
    assert found.region.nodes[found.node].op == said.split()[0]


def test_without_rows_that_follow_the_batch_nothing_is_accused(probe_of):
    assert _found(probe_of, lambda x: tf.constant([1.0, 2.0, 4.0, 5.0]), [2, 7]) is None


def test_an_output_without_any_axis_is_none_that_the_size_moves(probe_of):
    assert _found(probe_of, lambda x: tf.constant(0.5) + 0 * tf.reduce_sum(x), [2, 4]) is None
