import numpy as np
import pytest
import tensorflow as tf
from written_examples import EXAMPLES

from tfnorm.replay.comparison.fit import Unfit, fit
from tfnorm.replay.log.call import Call
from tfnorm.scorers.scorer import Scorer


class Taking(Scorer):
    signature = None
    name = "a model"

    def __init__(self, defaults=(), **inputs):
        self.defaults = dict(defaults)
        self.inputs = {name: tf.TensorSpec(shape, dtype) for name, (dtype, shape) in inputs.items()}

    def score(self, examples):
        return {}

    def close(self):
        pass


def fitted(scorer, **inputs):
    return fit(Call(0, {n: np.asarray(a) for n, a in inputs.items()}, {}), scorer)


FLOATS = Taking(x=("float32", [None, 2]))


def test_what_fits_is_as_it_was_logged():
    x = np.ones((3, 2), np.float32)
    found = fitted(FLOATS, x=x)
    assert found.feeds["x"] is x and (found.count, found.notes) == (3, ())


@pytest.mark.parametrize(
    ("scorer", "given", "note"),
    [
        (FLOATS, np.ones((3, 2)), "the log has 'x' as float64, the model takes float32"),
        (FLOATS, np.full((3, 2), 0.1), "float64, the model takes float32, which loses digits"),
        (FLOATS, np.ones((3, 2), int), "the log has 'x' as int64, the model takes float32"),
        (Taking(x=("int32", [None])), np.arange(3), "as int64, the model takes int32"),
        (Taking(x=("int32", [None])), np.arange(3.0), "as float64, the model takes int32"),
    ],
)
def test_another_type_is_cast_and_told(scorer, given, note):
    found = fitted(scorer, x=given)
    (said,) = found.notes
    assert note in said
    assert found.feeds["x"].dtype == scorer.inputs["x"].dtype.as_numpy_dtype


@pytest.mark.parametrize(
    ("scorer", "given", "reason"),
    [
        (FLOATS, np.ones((3, 4)), "of the shape [4] a row; the model takes [None, 2]"),
        (FLOATS, np.array([[b"a", b"b"]], object), "as strings, of which no float32 can be made"),
        (Taking(x=("int32", [None])), np.array([2**40]), "int64, of which no int32 can be made"),
        (Taking(x=("int32", [None])), np.array([0.5]), "float64, of which no int32 can be made"),
        (Taking(x=("string", [None])), np.array([1]), "int64, of which no string can be made"),
    ],
)
def test_what_would_become_another_is_refused(scorer, given, reason):
    with pytest.raises(Unfit) as refused:
        fitted(scorer, x=given)
    assert reason in str(refused.value)


def test_an_input_that_the_log_lacks_is_named_or_its_default_taken():
    both = {"x": ("float32", [None]), "keep": ("float32", [])}
    with pytest.raises(Unfit, match=r"the log lacks 'keep', float32 \[\]"):
        fitted(Taking(**both), x=np.float32([1]))
    found = fitted(Taking({"keep": np.float32(1)}, **both), x=np.float32([1]))
    assert found.notes == ("the log lacks 'keep', for which the model's default is taken",)
    assert list(found.feeds) == ["x"]


def test_what_the_model_does_not_take_is_left_out_and_told():
    found = fitted(FLOATS, x=np.float32([[1, 2]]), y=np.float32([1]))
    assert found.notes == ("the log has 'y', which the model does not take",)


def test_scalars_have_no_rows():
    scorer = Taking(x=("float32", [None]), keep=("float32", []))
    found = fitted(scorer, x=np.float32([1, 2]), keep=np.float32(0.5))
    assert (found.count, found.batched) == (2, ("x",))
    assert found.rows(slice(1, 2))["x"].tolist() == [2] and found.rows(slice(1))["keep"] == 0.5


def test_inputs_of_different_lengths_are_refused():
    scorer = Taking(x=("float32", [None]), y=("float32", [None]))
    with pytest.raises(Unfit, match="'x' 2, 'y' 1"):
        fitted(scorer, x=np.float32([1, 2]), y=np.float32([1]))


def test_examples_are_read_feature_by_feature_or_given_whole():
    call = Call(0, {}, {}, records=tuple(EXAMPLES))
    found = fit(call, FLOATS)
    assert found.feeds["x"][0].tolist() == [0.5, 1]
    whole = fit(call, Taking(examples=("string", [None])))
    assert whole.feeds["examples"].tolist() == EXAMPLES
