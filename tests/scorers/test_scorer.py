import keras
import numpy as np
import pytest

from tfnorm.scorers.scorer import BareScorer, Scorer, completed
from tfnorm.verify import load_scorer


class Bare:
    """A scorer of a user's own that is made from nothing of tfnorm's."""

    name, signature, inputs = "bare", "mine", None
    closed = False

    def score(self, feeds):
        return {"score": 2 * feeds["x"]}

    def close(self):
        self.closed = True


class Subclassed(Scorer):
    name, signature, inputs = "subclassed", None, None

    def score(self, feeds):
        return {"score": 3 * feeds["x"]}

    def close(self):
        pass


def test_a_subclass_has_what_it_does_not_say():
    scorer = Subclassed()
    assert completed(scorer) is scorer
    assert (scorer.precision, scorer.remote, scorer.kept_examples) == (None, False, None)
    with scorer.as_saved_model() as model:
        assert model is None


def test_what_scores_and_closes_is_enough_for_a_scorer_of_ones_own():
    bare = Bare()
    assert isinstance(bare, BareScorer) and not isinstance(bare, Scorer)
    scorer = completed(bare)
    assert isinstance(scorer, Scorer)
    assert (scorer.name, scorer.signature, scorer.inputs) == ("bare", "mine", None)
    assert (scorer.precision, scorer.remote, scorer.kept_examples) == (None, False, None)
    np.testing.assert_array_equal(scorer.score({"x": np.arange(3)})["score"], [0, 2, 4])
    with scorer.as_saved_model() as model:
        assert model is None
    scorer.close()
    assert bare.closed


def test_what_a_scorer_of_ones_own_says_beyond_that_is_kept(tmp_path):
    bare = Bare()
    bare.remote, bare.kept_examples, bare.precision = True, tmp_path, "float16"
    scorer = completed(bare)
    scorer.score({"x": np.arange(3)})
    assert (scorer.remote, scorer.kept_examples, scorer.precision) == (True, tmp_path, "float16")


@pytest.mark.parametrize("target", [3, "exports/ranker", np.zeros(2), {"x": 1}])
def test_what_can_not_score_is_no_scorer(target):
    assert not isinstance(target, BareScorer)


def test_a_keras_model_is_a_target_and_no_scorer_until_it_is_loaded():
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
    assert not isinstance(model, BareScorer)
    assert isinstance(load_scorer(model), Scorer)
