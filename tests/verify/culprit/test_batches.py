"""Batches of the examples that were given."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.session import Signature
from tfnorm.verify.culprit.batches import Batches

X = tf.TensorSpec([None, 2], tf.float32, "x")
WORD = tf.TensorSpec([None], tf.string, "word")
SCALE = tf.TensorSpec([], tf.float32, "scale")
HISTORY = tf.TensorSpec([None, None, 3, None], tf.int64, "history")

EXAMPLES = {
    "x": np.arange(6, dtype=np.float32).reshape(3, 2),
    "word": np.array(["a", "b", "c"]),
    "scale": np.float32(2),
}


def _signature(*specs):
    return Signature("score", "predict", {spec.name: spec for spec in specs}, {})


def test_examples_are_taken_round_and_round_and_scalars_stay():
    batch = Batches(_signature(X, WORD, SCALE), EXAMPLES).take(2, 5)
    np.testing.assert_array_equal(batch["x"][:, 0], [4, 0, 2, 4, 0])
    assert batch["word"].tolist() == ["c", "a", "b", "c", "a"]
    assert batch["scale"] == 2


def test_a_factor_scales_floats_of_the_batch_alone_and_keeps_their_type():
    ids = EXAMPLES | {"id": np.arange(3)}
    signature = _signature(X, WORD, SCALE, tf.TensorSpec([None], tf.int64, "id"))
    batch = Batches(signature, ids).take(0, 3, factor=-10.0)
    np.testing.assert_array_equal(batch["x"], -10 * EXAMPLES["x"])
    assert batch["x"].dtype == np.float32
    assert batch["scale"] == 2
    assert batch["id"].tolist() == [0, 1, 2]


def test_joined_batches_have_the_rows_of_one_and_then_of_the_other():
    batches = Batches(_signature(X, WORD, SCALE), EXAMPLES)
    joined = batches.join(batches.take(0, 2), batches.take(2, 1))
    assert joined["word"].tolist() == ["a", "b", "c"]
    assert joined["scale"] == 2


def test_a_batch_dimension_is_fixed_where_every_input_has_it_fixed():
    examples = {"x": EXAMPLES["x"]}
    assert Batches(_signature(X), examples).fixed_size is None
    fixed = tf.TensorSpec([3, 2], tf.float32, "x")
    assert Batches(_signature(fixed), examples).fixed_size == 3
    table = tf.TensorSpec([4, 2], tf.float32, "table")
    both = Batches(_signature(X, table), examples | {"table": np.zeros((4, 2), np.float32)})
    assert both.fixed_size is None
    assert both.take(0, 2)["table"].shape == (4, 2)


def test_variable_axes_are_those_that_the_signature_leaves_open_besides_the_batch():
    history = np.ones((3, 5, 3, 2), np.int64)
    batches = Batches(_signature(X, HISTORY), {"x": EXAMPLES["x"], "history": history})
    assert batches.variable_axes == [("history", 1), ("history", 3)]


@pytest.mark.parametrize(
    ("specs", "examples", "said"),
    [
        ((SCALE,), {"scale": np.float32(1)}, "no input with a batch dimension"),
        ((X, WORD), {"x": EXAMPLES["x"], "word": np.array(["a"])}, "1 'word', 3 'x'"),
        ((X,), {"x": np.zeros((0, 2), np.float32)}, "0 'x'.*at least one"),
        ((X,), {"x": np.zeros((3, 2))}, "dtype float64"),
    ],
)
def test_examples_that_make_no_batch_are_refused(specs, examples, said):
    with pytest.raises(InputError, match=said):
        Batches(_signature(*specs), examples)
