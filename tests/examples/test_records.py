import numpy as np
import pytest
import tensorflow as tf
from examples.test_load import GOOD, _scorer

from tfnorm.errors import InputError
from tfnorm.examples.load import load, load_examples
from tfnorm.examples.records import records, takes_records, with_value

RECORDS = tf.TensorSpec([None], tf.string)
PARSED = {"x": tf.io.FixedLenFeature([3], tf.float32), "id": tf.io.FixedLenFeature([], tf.int64)}


@pytest.mark.parametrize("name", ["examples", "inputs"])
def test_examples_by_feature_go_as_records_to_a_signature_that_takes_those(name, tmp_path):
    np.savez(tmp_path / "features.npz", labels=np.zeros(4), **GOOD)
    loaded = load(tmp_path / "features.npz", _scorer(**{name: RECORDS}))
    parsed = tf.io.parse_example(loaded.rows[name], PARSED)
    np.testing.assert_array_equal(parsed["x"], GOOD["x"])
    np.testing.assert_array_equal(parsed["id"], GOOD["id"])
    np.testing.assert_array_equal(loaded.labels, np.zeros(4))


def test_records_that_are_given_stay_as_they_are():
    given = np.array([b"one", b"two"], object)
    loaded = load_examples({"examples": given}, _scorer(examples=RECORDS))
    assert loaded["examples"].tolist() == [b"one", b"two"]


@pytest.mark.parametrize(
    "inputs",
    [
        {"word": RECORDS},
        {"inputs": tf.TensorSpec([None, 2], tf.string)},
        {"inputs": tf.TensorSpec([None], tf.int64)},
        {"inputs": RECORDS, "id": RECORDS},
    ],
)
def test_other_inputs_take_no_records(inputs):
    assert takes_records(inputs) is None
    with pytest.raises(InputError, match="lack: "):
        load_examples({"words": np.array(["a", "b"])}, _scorer(**inputs))


def test_features_of_different_numbers_of_examples_are_refused():
    with pytest.raises(InputError, match="different numbers of examples"):
        load_examples({"x": np.zeros(2), "id": np.zeros(3)}, _scorer(examples=RECORDS))


def test_a_record_has_another_number_in_each_place_of_a_feature():
    rows = {"id": np.array([[3, 4]]), "x": np.array([[0.5]], "f4"), "word": np.array([b"a"])}
    (record,) = records(rows)
    before = record.SerializeToString()
    changed = tf.train.Example.FromString(with_value(before, "id", 9))
    assert list(changed.features.feature["id"].int64_list.value) == [9, 9]
    assert list(changed.features.feature["x"].float_list.value) == [0.5]
    changed = tf.train.Example.FromString(with_value(before, "x", 9))
    assert list(changed.features.feature["x"].float_list.value) == [9.0]
    assert with_value(before, "word", 9) is None
    assert with_value(before, "other", 9) is None
    assert with_value(b"no record", "id", 9) is None
