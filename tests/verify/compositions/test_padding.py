import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.compositions.padding import cropped, paddings

FREE = tf.TensorSpec([None, None], tf.int64)
HISTORY = np.array([[3, 1, 0], [2, 0, 0], [1, 1, 1]])


def test_inputs_of_one_length_are_padded_together():
    examples = {
        "history": HISTORY,
        "days": HISTORY.astype(np.float32),
        "tags": np.full((3, 5), b"a", object),
        "x": np.ones((3, 3), np.float32),
    }
    inputs = {
        "history": FREE,
        "days": tf.TensorSpec([None, None], tf.float32),
        "tags": tf.TensorSpec([None, None], tf.string),
        "x": tf.TensorSpec([None, 3], tf.float32),
    }
    together, tags = paddings(examples, inputs)
    assert together.inputs == "'history', 'days'"
    longer = together.apply(examples)
    assert longer["history"].tolist() == [[*row, 0, 0, 0, 0] for row in HISTORY.tolist()]
    assert longer["days"].dtype == np.float32
    assert longer["x"] is examples["x"]
    assert tags.apply(examples)["tags"][0].tolist() == [b"a"] * 5 + [b""] * 5
    assert [together.shown, tags.shown] == [True, False]


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([[1, 2], [3, 4]], False),
        ([[0, 2], [3, 4]], False),
        ([[1, 0], [3, 4]], True),
        ([[0, 0], [3, 4]], False),
        ([[[1, 1], [0, 0]], [[1, 1], [1, 1]]], True),
        ([[[1, 1], [0, 1]], [[1, 1], [1, 1]]], False),
        ([[b"a", b""], [b"a", b"b"]], True),
    ],
)
def test_trailing_zeros_show_that_zeros_are_padding(rows, shown):
    array = np.array(rows, object if isinstance(rows[0][0], bytes) else np.float32)
    spec = tf.TensorSpec([None, None, *array.shape[2:]], tf.as_dtype(array.dtype))
    (padding,) = paddings({"x": array}, {"x": spec})
    assert padding.shown == shown


def test_images_of_any_size_are_not_padded_and_neither_is_what_declares_nothing():
    images = {"x": np.zeros((2, 4, 4, 3), np.float32)}
    assert not paddings(images, {"x": tf.TensorSpec([None, None, None, 3], tf.float32)})
    assert not paddings(images, None)


def test_steps_that_the_padding_added_to_an_output_are_cut_off():
    values = np.arange(12).reshape(2, 6)
    np.testing.assert_array_equal(cropped(values, (4,)), values[:, :4])
    np.testing.assert_array_equal(cropped(values[:, 0], ()), values[:, 0])


def test_zeros_are_not_added_to_where_they_may_be_values():
    examples = {"history": HISTORY, "days": HISTORY.astype(np.float32)}
    (padding,) = paddings(examples, dict.fromkeys(examples, FREE))
    assert padding.objection([]) is None
    assert padding.objection(["days"]) == "zeros at the end of 'days' were said to be no padding"
    (unseen,) = paddings({"history": np.ones((3, 3))}, {"history": FREE})
    assert unseen.objection([]) == "no example ends in zeros: they may mean more"
