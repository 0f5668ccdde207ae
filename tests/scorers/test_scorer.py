import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.scorers.scorer import BareScorer, Fed, Scorer, completed
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


def test_a_scorer_of_ones_own_may_be_looked_into():
    bare = Bare()
    bare.as_saved_model, bare.keras_model = (lambda: "context"), (lambda: "model")
    scorer = completed(bare)
    assert (scorer.as_saved_model(), scorer.keras_model()) == ("context", "model")
    assert completed(Bare()).keras_model() is None


def test_a_keras_model_is_called_with_what_it_is_fed():
    inputs = {name: keras.Input((1,), name=name) for name in ("x", "y")}
    model = keras.Model(inputs, keras.layers.Add()(list(inputs.values())))
    found, call = Fed(load_scorer(model), {"y": np.full((2, 1), 5.0, np.float32)}).keras_model()
    assert found is model
    np.testing.assert_array_equal(call({"x": tf.ones([2, 1])})["score"], [[6.0], [6.0]])
    assert Fed(completed(Bare()), {}).keras_model() is None


@pytest.mark.parametrize("target", [3, "exports/ranker", np.zeros(2), {"x": 1}])
def test_what_can_not_score_is_no_scorer(target):
    assert not isinstance(target, BareScorer)


def test_a_keras_model_is_a_target_and_no_scorer_until_it_is_loaded():
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
    assert not isinstance(model, BareScorer)
    assert isinstance(load_scorer(model), Scorer)


class Scaling(Scorer):
    name, signature, remote, precision = "scaling", None, True, None
    closed = False

    def __init__(self):
        self.inputs = {name: tf.TensorSpec([]) for name in ("x", "by", "plus")}
        self.defaults = {"plus": np.float32(1.0), "by": np.float32(1.0)}

    def score(self, feeds):
        self.precision = "float32"
        return {"score": feeds["by"] * feeds["x"] + feeds.get("plus", 1.0)}

    def close(self):
        self.closed = True


def test_a_fed_scorer_is_the_same_but_for_the_inputs_that_it_is_given():
    scorer = Scaling()
    fed = Fed(scorer, {"by": np.float32(3.0)})
    assert fed.inputs.keys() == {"x", "plus"} and fed.defaults.keys() == {"plus"}
    assert (fed.name, fed.remote, fed.precision) == ("scaling", True, None)
    np.testing.assert_array_equal(fed.score({"x": np.arange(3.0)})["score"], [1, 4, 7])
    assert fed.precision == "float32"
    with fed.as_saved_model() as model:
        assert model is None
    fed.close()
    assert scorer.closed
