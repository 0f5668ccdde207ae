import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.candidates import by_candidate, candidate_inputs, takes_users_once
from tfnorm.scorers.scorer import Scorer

ROWS = {"item": tf.TensorSpec([None], tf.int32), "age": tf.TensorSpec([None, 1], tf.float32)}


def specs(**shapes):
    return {name: tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (specs(item=[None, None], age=[None, 1]), ("item",)),
        (specs(item=[None], age=[None, None, 1]), ("age",)),
        (specs(item=[None], age=[None, 1]), ()),
        (specs(item=[None, None], age=[None, None, 1]), ()),
        (specs(item=[None, None, None], age=[None, 1]), ()),
        (specs(item=None, age=[None, 1]), ()),
        (specs(item=[None, None]), ()),
        (specs(examples=[None]), ()),
    ],
)
def test_a_candidates_inputs_have_one_axis_more_than_a_rows(inputs, found):
    assert candidate_inputs(inputs, ROWS) == found


class Product(Scorer):
    """10 of the user's number and one of the candidate's, by either signature."""

    name, signature, precision = "a product", None, "float32"

    def __init__(self, of_rows):
        self.candidates = () if of_rows else ("shown",)
        self.inputs = specs(user=[None], shown=[None] if of_rows else [None, None])
        self.closed = False

    def score(self, examples):
        user = examples["user"] if not self.candidates else examples["user"][:, None]
        return {"score": (10 * user + examples["shown"])[..., None]}

    def close(self):
        self.closed = True


def test_candidates_are_scored_for_each_of_some_users_by_both_signatures():
    # Of two rows, as there are fewer than the users that are taken.
    rows = {"user": np.array([1.0, 3.0]), "shown": np.array([5.0, 7.0])}
    by_user, of_rows = Product(False), Product(True)
    one, other, shown = by_candidate(by_user, of_rows, rows)
    assert list(shown) == ["shown"] == list(one.inputs) == list(other.inputs)
    batch = {"shown": shown["shown"][[1, 0, 1]]}
    expected = [[[17], [37]], [[15], [35]], [[17], [37]]]
    assert one.score(batch)["score"].tolist() == expected
    assert other.score(batch)["score"].tolist() == expected
    with pytest.raises(InputError, match="verify the signature 'serving_default'"):
        other.as_saved_model().__enter__()
    with one.as_saved_model() as unknown:
        assert unknown is None
    one.close()
    assert by_user.closed and not of_rows.closed


@pytest.mark.parametrize(
    ("examples", "taken"),
    [
        (None, True),
        ("examples.npz", True),
        ({"user": np.ones(3), "shown": np.ones(3)}, True),
        ({"user": np.ones(3), "shown": np.ones((3, 2))}, False),
    ],
)
def test_examples_are_rows_unless_they_have_the_axis_of_candidates(examples, taken):
    assert takes_users_once(Product(False), examples) is taken
    assert not takes_users_once(Product(True), examples)
