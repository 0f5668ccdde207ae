"""The first op whose rows move although its inputs' rows don't."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.experiment import Subject
from tfnorm.verify.culprit.experiments.neighbours import Neighbours
from tfnorm.verify.culprit.experiments.padding import Padding
from tfnorm.verify.culprit.search import Search

X = tf.TensorSpec([None, 4], tf.float32, "x")
STEPS = tf.TensorSpec([None, None, 4], tf.float32, "x")


def _examples(*shape):
    return {"x": np.random.default_rng(0).normal(size=(40, *shape)).astype(np.float32)}


def _searched(probe, experiment, examples, **options):
    subject = Subject(probe, Batches(probe.signature, examples), 8, 21)
    pair = next(iter(experiment.pairs(subject)))
    return Search(probe, pair, **options).find()


def _op(found):
    return found and found.region.nodes[found.node].op


@pytest.fixture(scope="module")
def long_chain(probe_of):
    """Ten row-wise ops, a maximum over the batch, and ten more."""

    def serve(x):
        for _ in range(10):
            x = tf.tanh(x) + 0.1
        x = x - tf.reduce_max(x, axis=0)
        for _ in range(10):
            x = tf.sin(x) * 1.1
        return {"score": x}

    return probe_of(serve, X)


def test_a_chain_is_followed_to_the_op_that_mixes(long_chain):
    found = _searched(long_chain, Neighbours(), _examples(4))
    assert _op(found) == "Max"
    assert found.lost_batch
    ops = [found.region.nodes[name].op for name in found.path]
    assert ops.count("Sin") == 10 and "Tanh" not in ops


def test_a_graph_too_large_to_fetch_at_once_is_bisected(long_chain, monkeypatch):
    fetched = []
    run = long_chain.run
    monkeypatch.setattr(
        long_chain,
        "run",
        lambda f, tensors, *a: fetched.append(len(tensors)) or run(f, tensors, *a),
    )
    long_chain.shapes(long_chain.base, {"x": _examples(4)["x"][:3]})
    fetched.clear()
    assert _op(_searched(long_chain, Neighbours(), _examples(4), fetched_bytes=1000)) == "Max"
    values = [count for count in fetched if count != len(long_chain.base.tensors)]
    assert values and max(values) < len(long_chain.base.tensors) / 2


def test_rows_that_keep_to_themselves_are_not_found(probe_of):
    probe = probe_of(lambda x: {"score": tf.nn.softmax(tf.sort(x, axis=1))}, X)
    assert _searched(probe, Neighbours(), _examples(4)) is None


def test_an_op_that_mixes_rows_and_keeps_them_has_not_lost_the_batch(probe_of):
    probe = probe_of(lambda x: {"score": tf.cumsum(x, axis=0, reverse=True)}, X)
    found = _searched(probe, Neighbours(), _examples(4))
    assert (_op(found), found.lost_batch) == ("Cumsum", False)


def test_a_turn_of_a_loop_that_changes_nothing_is_passed(probe_of):
    def turn(i, x):
        return i + 1, tf.cond(i > 1, lambda: x - tf.reduce_mean(x, axis=0), lambda: tf.tanh(x))

    def serve(x):
        return {"score": tf.while_loop(lambda i, _: i < 4, turn, [0, x])[1]}

    found = _searched(probe_of(serve, X), Neighbours(), _examples(4))
    assert _op(found) == "Mean"
    assert found.region.caller is not None


@pytest.mark.slow
def test_a_loops_condition_is_blamed_where_it_lets_one_batch_go_on(probe_of):
    def serve(x):
        going = lambda y: tf.reduce_max(tf.abs(y)) > 0.5  # noqa: E731
        return {"score": tf.while_loop(going, lambda y: (y * 0.9,), [x])[0]}

    assert _op(_searched(probe_of(serve, X), Neighbours(), _examples(4))) == "Max"


def test_rows_made_unique_and_counted_are_blamed_on_what_made_their_number(probe_of):
    def serve(i):
        return {"score": tf.cast(i, tf.float32) / tf.cast(tf.size(tf.unique(i).y), tf.float32)}

    probe = probe_of(serve, tf.TensorSpec([None], tf.int64, "i"))
    assert _op(_searched(probe, Neighbours(), {"i": np.minimum(np.arange(40), 25)})) == "Unique"


def test_longer_padding_that_a_sum_ignores_is_not_found(probe_of):
    probe = probe_of(lambda x: {"score": tf.reduce_sum(x, axis=1)}, STEPS)
    assert _searched(probe, Padding(), _examples(5, 4)) is None


def test_longer_padding_that_a_mean_counts_is_found(probe_of):
    probe = probe_of(lambda x: {"score": tf.reduce_mean(tf.tanh(x), axis=1)}, STEPS)
    assert _op(_searched(probe, Padding(), _examples(5, 4))) == "Mean"


def test_a_length_is_no_culprit_and_the_rows_that_it_reaches_are(probe_of):
    def serve(x):
        length = tf.cast(tf.shape(x)[1], tf.float32)
        return {"score": tf.reduce_sum(x, axis=[1, 2]) * tf.sqrt(length)}

    assert _op(_searched(probe_of(serve, STEPS), Padding(), _examples(5, 4))) == "Mul"
