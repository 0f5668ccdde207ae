from contextlib import contextmanager

import numpy as np
import pytest
import tensorflow as tf
from verify.made_scorers import FunctionScorer

from tfnorm.errors import InputError
from tfnorm.session import SavedModel
from tfnorm.verify.blame import blame

X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Two signatures, of which the second centres on the batch's mean."""
    directory = tmp_path_factory.mktemp("model")
    module = tf.Module()
    spec = [tf.TensorSpec([None, 3], tf.float32, "x")]
    module.clean = tf.function(lambda x: {"score": 2 * x}, input_signature=spec)
    module.centred = tf.function(
        lambda x: {"score": x - tf.reduce_mean(x, 0)}, input_signature=spec
    )
    tf.saved_model.save(
        module,
        directory,
        signatures={"serving_default": module.clean, "centred": module.centred},
    )
    return directory


@pytest.fixture
def model(directory):
    with SavedModel(directory) as loaded:
        yield loaded


class Open(FunctionScorer):
    """A scorer whose graph is laid open; it never scores here."""

    def __init__(self, model, **attributes):
        super().__init__(None, **attributes)
        self.model = model
        self.closed = 0

    @contextmanager
    def as_saved_model(self):
        yield self.model
        self.closed += 1


class Refusing(FunctionScorer):
    @contextmanager
    def as_saved_model(self):
        raise InputError("it can't be saved")
        yield


SHUT = FunctionScorer(None, name="grpc://host:1/m")


def test_the_signature_that_scores_is_looked_into(model):
    scorer = Open(model, signature="centred")
    culprit, unknown = blame(scorer, None, {"x": X})
    assert (culprit.op_type, unknown) == ("Mean", None)
    assert scorer.closed == 1


def test_without_a_name_it_is_the_default_signature(model):
    assert blame(Open(model), None, {"x": X}) == (None, "no op was found by itself")


def test_a_model_on_this_machine_stands_for_a_server(model):
    culprit, unknown = blame(SHUT, Open(model, signature="centred"), {"x": X})
    assert (culprit.op_type, unknown) == ("Mean", None)


def test_what_scores_comes_before_the_model_on_this_machine(model):
    local = Open(model, signature="centred")
    assert blame(Open(model), local, {"x": X}) == (None, "no op was found by itself")
    assert local.closed == 0


@pytest.mark.parametrize("local", [None, SHUT])
def test_what_nobody_can_look_into_says_what_to_give(local):
    culprit, unknown = blame(SHUT, local, {"x": X})
    assert culprit is None
    assert unknown == "grpc://host:1/m can't be looked into; give its SavedModel by --against"


def test_why_it_can_not_be_looked_into_is_the_reason(model):
    assert blame(Refusing(None), None, {"x": X}) == (None, "it can't be saved")
    culprit, unknown = blame(Open(model), None, {"wrong": X})
    assert culprit is None and "input 'x' is missing" in unknown


def test_state_that_no_longer_moves_a_score_is_looked_for_as_the_file_has_it(tmp_path):
    module = tf.Module()
    module.calls = tf.Variable(0.0)

    def score(x):
        return {"score": tf.minimum(module.calls.assign_add(1.0), 99.0) + x[:, 0]}

    module.score = tf.function(score, input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    tf.saved_model.save(module, tmp_path, signatures=module.score)
    with SavedModel(tmp_path) as loaded:
        for _ in range(100):
            loaded.run({"x": X})
        found, unknown = blame(Open(loaded, signature="serving_default"), None, {"x": X})
    assert (found.op_type, unknown) == ("AssignAddVariableOp", None)
