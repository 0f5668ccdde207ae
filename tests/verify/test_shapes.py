"""What moves at equal batch sizes because shapes inside the model differ only rounds otherwise."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from verify.made_scorers import FunctionScorer

from tfnorm.scorers.load import load_scorer
from tfnorm.verify import batch_invariance
from tfnorm.verify.run import look_at_shapes

WIDTH, EXPERTS = 6, 3
RANDOM = np.random.default_rng(0)
X = {"x": RANDOM.normal(size=(48, WIDTH)).astype(np.float32)}
GATE = RANDOM.normal(size=(WIDTH, EXPERTS)).astype(np.float32)
EXPERT = RANDOM.normal(size=(EXPERTS, WIDTH)).astype(np.float32)


def _expert(number, x, epsilons):
    """An expert whose kernels round otherwise for an even number of rows."""
    score = tf.linalg.matvec(x, EXPERT[number]) + 3.0
    even = tf.cast(tf.shape(x)[0] % 2 == 0, tf.float32)
    return score * (1.0 + even * epsilons * 2.0**-23 * tf.sin(1e4 * score))


def _partitioned(x, epsilons=150.0):
    """Each row is sent to one expert, by its own numbers alone."""
    chosen = tf.argmax(x @ GATE, axis=1, output_type=tf.int32)
    parts = tf.dynamic_partition(x, chosen, EXPERTS)
    places = tf.dynamic_partition(tf.range(tf.shape(x)[0]), chosen, EXPERTS)
    scores = [_expert(number, part, epsilons) for number, part in enumerate(parts)]
    return tf.dynamic_stitch(places, scores)


def _in_branches(x):
    """They, where no shape can be seen: further than the tolerance, nothing is let pass."""
    return tf.cond(tf.size(x) > 0, lambda: _partitioned(x, 40.0), lambda: x[:, 0])


def _masked(x):
    """Rows picked by a mask, and put back."""
    rows = tf.where(x[:, 0] > 0)
    return tf.tensor_scatter_nd_update(x[:, 1], rows, _expert(0, tf.gather_nd(x, rows), 150.0))


def _model(score, directory):
    module = tf.Module()
    spec = [tf.TensorSpec([None, WIDTH], tf.float32, "x")]
    module.serve = tf.function(lambda x: {"score": score(x)}, input_signature=spec)
    tf.saved_model.save(module, str(directory), signatures=module.serve)
    return directory


@pytest.mark.parametrize("score", [_partitioned, _in_branches, _masked])
def test_experts_that_are_sent_other_rows_are_not_accused(score, tmp_path):
    report = batch_invariance(_model(score, tmp_path), X, batch_sizes=[16, 32])
    assert report.passed
    beside = [result for result in report.compositions if result.against == "among other examples"]
    assert max(result.max_ulp for result in beside) > 8


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x - tf.reduce_mean(x, axis=0),
        lambda x: x + 1e-5 * tf.reduce_max(x),
    ],
)
def test_experts_that_are_sent_what_depends_on_the_batch_are(spoil, tmp_path):
    model = _model(lambda x: _partitioned(spoil(x)), tmp_path)
    report = batch_invariance(model, X, batch_sizes=[16])
    assert not report.passed
    assert report.culprit.op_type in ("Mean", "Max")


@pytest.mark.slow
def test_what_is_said_of_shapes_is_what_they_are(tmp_path, monkeypatch):
    looked = []

    def look(scorer, local, compared, rows):
        look_at_shapes(scorer, local, compared, rows)
        looked.append({c.same_shapes for one in compared for c in one.comparisons.values()})

    monkeypatch.setattr("tfnorm.verify.run.look_at_shapes", look)
    monkeypatch.setattr("tfnorm.verify.run.blame", lambda *arguments: (None, None))
    tiny = 1e-9 * np.float32(1)
    models = {
        "apart": _partitioned,
        "inside": _in_branches,
        "mixed": lambda x: x[:, 0] + 10.0 + tiny * tf.reduce_mean(x),
    }
    for name, score in models.items():
        batch_invariance(_model(score, tmp_path / name), X, batch_sizes=[16])
    apart, inside, mixed = looked
    # Of the repeats it is known from the start.
    assert apart == {True, None, False}
    assert inside == {True, None}
    assert mixed == {True, None}


def test_without_a_graph_what_moves_within_the_tolerance_may_round():
    def score(feeds):
        x = feeds["x"].astype(np.float32)
        positive = (x[:, 0] > 0).sum() % 3
        return {"score": x[:, 1] * (1 + positive * np.float32(2e-6) * np.sin(1e4 * x[:, 1]))}

    assert batch_invariance(FunctionScorer(score), X, batch_sizes=[16]).passed
    mixed = FunctionScorer(lambda feeds: {"score": feeds["x"][:, 1] + 1e-6 * feeds["x"].mean()})
    assert not batch_invariance(mixed, X, batch_sizes=[16]).passed


def test_the_model_on_this_machine_tells_a_servers_shapes(tmp_path):
    local = _model(_partitioned, tmp_path)
    with_graph = load_scorer(local)
    server = FunctionScorer(with_graph.score, name="a server")
    assert batch_invariance(server, X, batch_sizes=[16], against=Path(local)).passed
    with_graph.close()
