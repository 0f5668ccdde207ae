"""What is to blame, of a signature that takes users once."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.candidates import CandidatesScorer, by_candidate
from tfnorm.scorers.saved_model import SavedModelScorer
from tfnorm.verify import verify_batch_invariance

RNG = np.random.default_rng(0)
ROWS = {
    "age": RNG.random(12).astype("f4"),
    "price": RNG.random((12, 3)).astype("f4"),
    "brand": np.array([b"a", b"bb", b"ccc"] * 4, object),
}


def saved(path, of_candidates):
    """Ages and prices in, a score of each candidate out, by both signatures; brands count by their length."""
    module = tf.Module()
    module.weights = tf.Variable([[1.0], [2.0], [3.0]])

    def scores(age, price, brand):
        each = tf.matmul(tf.reshape(price, [-1, 3]), module.weights)
        lengths = tf.reshape(tf.cast(tf.strings.length(brand), tf.float32), [-1, 1])
        ages = tf.repeat(age, tf.size(lengths) // tf.size(age))[:, None]
        score = of_candidates(each + lengths * ages, lengths)
        return {"score": tf.reshape(score, [*tf.unstack(tf.shape(price)[:-1]), 1])}

    def signature(prices, brands):
        specs = [
            tf.TensorSpec([None], tf.float32, "age"),
            tf.TensorSpec(prices, tf.float32, "price"),
            tf.TensorSpec(brands, tf.string, "brand"),
        ]
        function = tf.function(scores, input_signature=specs, autograph=False)
        return function.get_concrete_function()

    module.rows = signature([None, 3], [None])
    module.by_user = signature([None, None, 3], [None, None])
    signatures = {"serving_default": module.rows, "candidates": module.by_user}
    tf.saved_model.save(module, str(path), signatures)
    return path


@pytest.mark.parametrize(
    ("of_candidates", "op_type"),
    [
        (lambda x, _: x - tf.reduce_mean(x, 0), "Mean"),
        (lambda x, _: tf.nn.softmax(x, 0), "Softmax"),
        (lambda x, lengths: x * tf.cast(lengths < tf.reduce_max(lengths), tf.float32), "Max"),
        (lambda x, _: tf.reshape(tf.cumsum(tf.reshape(x, [-1])), [-1, 1]), "Cumsum"),
    ],
)
def test_the_op_by_which_candidates_move_each_others_scores_is_named(
    tmp_path, of_candidates, op_type
):
    report = verify_batch_invariance(
        saved(tmp_path, of_candidates), ROWS, signature="candidates", batch_sizes=[2, 5, 16]
    )
    assert not report.passed
    assert report.culprit.op_type == op_type


@pytest.fixture
def scorer(tmp_path):
    made = SavedModelScorer(saved(tmp_path, lambda x, _: x), "candidates")
    yield by_candidate(made, made, ROWS)[0]
    made.close()


def test_what_is_looked_into_scores_as_the_signature_does(scorer):
    assert isinstance(scorer, CandidatesScorer)
    shown = {name: ROWS[name][[3, 1, 1, 7, 0]] for name in ("price", "brand")}
    with scorer.as_saved_model() as model:
        inputs = model.signature("candidates").inputs
        assert {name: spec.shape.as_list() for name, spec in inputs.items()} == {
            "price": [None, 3],
            "brand": [None],
        }
        found = model.run(shown, signature="candidates")["score"]
    wanted = scorer.score(shown)["score"]
    assert found.shape == (5, 4, 1)
    assert found.tobytes() == np.ascontiguousarray(wanted).tobytes()


def test_a_graph_that_is_written_as_text_is_not_looked_into(scorer, tmp_path):
    (tmp_path / "saved_model.pb").unlink()
    with pytest.raises(InputError, match=r"has no saved_model\.pb"):
        scorer.as_saved_model().__enter__()
