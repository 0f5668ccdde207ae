import keras
import numpy as np
import pytest
import tensorflow as tf
from verify.dependent_models import function_of

from tfnorm.errors import InputError
from tfnorm.examples.bounds import UNBOUNDED
from tfnorm.examples.drawn import random_examples
from tfnorm.scorers.servers.connection import Unreachable
from tfnorm.verify import batch_invariance, load_scorer


def _scorer(score, **inputs):
    class Scorer:
        name, signature, defaults, constants = "a model", None, {}, {}

    Scorer.inputs = {name: tf.TensorSpec(*spec, name) for name, spec in inputs.items()}
    Scorer.score = staticmethod(score)
    return Scorer


def _anything(feeds):
    return feeds


def test_each_dtype_is_drawn_in_the_shape_of_its_input():
    drawn = random_examples(
        _scorer(
            _anything,
            x=([None, 3], tf.float16),
            id=([None], tf.int32),
            history=([None, None], tf.int64),
            flag=([None, 2], tf.bool),
            word=([None], tf.string),
            small=([None], tf.uint8),
        ),
        50,
    )
    shapes = {name: array.shape for name, array in drawn.items()}
    assert shapes["x"] == (50, 3) and shapes["id"] == (50,) and shapes["flag"] == (50, 2)
    assert drawn["x"].dtype == np.float16 and drawn["id"].dtype == np.int32
    assert set(map(type, drawn["word"])) == {bytes}
    assert (drawn["history"] > 0).all() and drawn["history"].max() <= UNBOUNDED
    assert drawn["small"].max() > 200
    assert 0 < drawn["flag"].mean() < 1


@pytest.mark.parametrize("size", [1, 2, 19, 1000, 3_000_000])
def test_ids_are_drawn_up_to_the_largest_that_the_model_takes(size):
    def score(feeds):
        if feeds["id"].max() >= size:
            raise InputError("out of range")
        return feeds

    drawn = random_examples(_scorer(score, id=([None], tf.int64)), 20_000)["id"]
    assert drawn.max() == min(size - 1, drawn.max())
    assert set(drawn) == set(range(min(1, size - 1), size)) if size < 100 else drawn.max() > 990


def test_an_embeddings_size_is_found():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32", name="id")
    model = keras.Model(inputs, keras.layers.Embedding(37, 2)(inputs))
    assert random_examples(load_scorer(model), 2_000)["id"].max() == 36


def test_a_server_that_is_gone_sets_no_bound():
    def gone(feeds):
        raise Unreachable("gone")

    with pytest.raises(Unreachable):
        random_examples(_scorer(gone, id=([None], tf.int64)), 2)


def test_a_model_that_refuses_what_was_drawn_needs_examples():
    def refuse(feeds):
        raise InputError("no tf.Example")

    with pytest.raises(InputError, match=r"of no use: no tf\.Example; give examples"):
        random_examples(_scorer(refuse, examples=([None], tf.string)), 2)


@pytest.mark.parametrize(
    ("scorer", "count", "message"),
    [
        (_scorer(_anything, x=([None], tf.float32)), 1, "1 random examples"),
        (_scorer(_anything, x=(None, tf.float32)), 2, "'x' is of any shape"),
        (_scorer(_anything, x=([], tf.float32)), 2, "nothing can be drawn"),
    ],
)
def test_what_can_not_be_drawn_is_refused(scorer, count, message):
    with pytest.raises(InputError, match=message):
        random_examples(scorer, count)


def test_a_model_is_verified_with_random_examples():
    model = function_of(lambda x, ids: x[:, 0] - tf.reduce_mean(x))
    report = batch_invariance(model, random=30)
    assert report.examples == 30
    assert not report.passed
    with pytest.raises(InputError, match="both examples and random"):
        batch_invariance(model, {"x": np.zeros((2, 6))}, random=3)


def _by_word(score):
    """A model whose scores are a function of what is known of its words."""
    inputs = keras.Input((2,), dtype="string", name="word")
    keras.utils.set_random_seed(0)
    ids = keras.layers.StringLookup(vocabulary=["red", "green", "blue"])(inputs)
    embedded = keras.layers.Flatten()(keras.layers.Embedding(5, 3)(ids))
    return keras.Model(inputs, keras.layers.Lambda(score)(embedded))


@pytest.mark.slow
@pytest.mark.parametrize("saved", [False, True])
def test_a_mean_behind_a_lookup_is_found_with_words_that_the_table_knows(saved, tmp_path):
    model = _by_word(lambda x: x[:, :1] - tf.reduce_mean(x[:, :1]))
    clean = _by_word(lambda x: x[:, :1])
    if saved:
        model.export(tmp_path / "model", verbose=False)
        clean.export(tmp_path / "clean", verbose=False)
        model, clean = tmp_path / "model", tmp_path / "clean"
    report = batch_invariance(model, random=16, batch_sizes=[2, 8])
    assert not report.passed
    assert report.culprit.op_type == "Mean"
    assert batch_invariance(clean, random=16, batch_sizes=[2, 8]).passed


def test_a_server_is_asked_for_the_keys_of_the_model_that_it_is_compared_with():
    local = load_scorer(_by_word(lambda x: x))
    remote = _scorer(_anything, word=([None, 2], tf.string))
    drawn = random_examples(remote, 40, local=local)
    assert set(drawn["word"].reshape(-1)) == {b"red", b"green", b"blue"}
    unread = random_examples(remote, 40)
    assert not set(unread["word"].reshape(-1)) & {b"green"}


def test_beside_the_only_key_of_a_table_stands_what_it_does_not_know():
    inputs = keras.Input((1,), dtype="string", name="word")
    model = keras.Model(inputs, keras.layers.StringLookup(vocabulary=["only"])(inputs))
    drawn = set(random_examples(load_scorer(model), 60)["word"].reshape(-1))
    assert b"only" in drawn and len(drawn) > 1
