from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.load import load_examples


def _scorer(**inputs):
    return SimpleNamespace(
        name="a model",
        constants={},
        places={},
        signature=None,
        defaults={},
        inputs=inputs,
        kept_examples=None,
    )


RANKER = _scorer(
    x=tf.TensorSpec([None, 3], tf.float32, "x"), id=tf.TensorSpec([None], tf.int32, "id")
)
GOOD = {"x": np.arange(12.0).reshape(4, 3), "id": np.arange(4)}


def test_wider_numbers_are_cast_to_the_inputs_dtypes():
    loaded = load_examples(GOOD, RANKER)
    assert loaded["x"].dtype == np.float32
    assert loaded["id"].dtype == np.int32
    np.testing.assert_array_equal(loaded["x"], GOOD["x"])
    np.testing.assert_array_equal(loaded["id"], GOOD["id"])


def test_a_file_is_read_as_its_arrays(tmp_path):
    np.savez_compressed(tmp_path / "some examples.npz", **GOOD)
    for path in (tmp_path / "some examples.npz", str(tmp_path / "some examples.npz")):
        np.testing.assert_array_equal(load_examples(path, RANKER)["x"], GOOD["x"])


def test_the_examples_that_an_export_keeps_are_the_default(tmp_path):
    np.savez(tmp_path / "kept.npz", **GOOD)
    scorer = SimpleNamespace(**{**vars(RANKER), "kept_examples": tmp_path / "kept.npz"})
    np.testing.assert_array_equal(load_examples(None, scorer)["id"], GOOD["id"])


def test_one_array_is_enough_for_a_model_of_one_input():
    scorer = _scorer(keras_tensor_7=tf.TensorSpec([None, 3], tf.float32))
    np.testing.assert_array_equal(load_examples(GOOD["x"], scorer)["keras_tensor_7"], GOOD["x"])


def test_text_becomes_utf8_bytes():
    scorer = _scorer(word=tf.TensorSpec([None], tf.string))
    for words in (["né", "b"], np.array(["né".encode(), b"b"]), np.array(["né", "b"], object)):
        assert load_examples({"word": words}, scorer)["word"].tolist() == ["né".encode(), b"b"]


def test_narrow_floats_are_widened_and_bfloat16_is_a_float():
    scorer = _scorer(x=tf.TensorSpec([None], tf.bfloat16))
    loaded = load_examples({"x": np.float32([0.5, 2.0])}, scorer)["x"]
    assert loaded.dtype == tf.bfloat16.as_numpy_dtype
    back = load_examples({"x": loaded}, _scorer(x=tf.TensorSpec([None], tf.float64)))["x"]
    assert back.tolist() == [0.5, 2.0]


def test_a_variable_length_fits_any_length():
    scorer = _scorer(history=tf.TensorSpec([None, None], tf.int64))
    assert load_examples({"history": np.zeros((2, 9), int)}, scorer)["history"].shape == (2, 9)


def test_a_model_that_declares_no_inputs_takes_what_it_is_given():
    scorer = SimpleNamespace(
        name="a model", constants={}, places={}, signature=None, defaults={}, inputs=None
    )
    loaded = load_examples({"a": [1.0, 2.0], "b": np.array([3, 4])}, scorer)
    assert loaded["a"].dtype == np.float64
    assert loaded["b"].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "lack: 'x'; accepted: x: float32"),
        ({"label": np.zeros(4)}, "no input: 'label'"),
        ({"x": np.zeros((4, 2))}, r"'x' has the shape \[4, 2\]; accepted: \[None, 3\]"),
        ({"x": np.float32(1)}, r"'x' has the shape \[\]"),
        ({"x": np.zeros((4, 3), int)}, "'x' has dtype int64 and values 0 to 0; accepted: float32"),
        ({"x": np.full((4, 3), 1e300)}, "'x' has dtype float64"),
        ({"x": np.full((4, 3), "a")}, "'x' has dtype <U1"),
        ({"id": np.array([0, 1, 2, 2**31])}, "'id' has dtype int64 and values 0 to 2147483648"),
        ({"id": np.arange(4.0)}, "'id' has dtype float64"),
        ({"id": np.arange(5)}, "different numbers of examples: 'x' 4, 'id' 5"),
    ],
)
def test_examples_that_do_not_fit_are_refused_by_name(change, message):
    arrays = {name: array for name, array in (GOOD | change).items() if array is not None}
    with pytest.raises(InputError, match=message):
        load_examples(arrays, RANKER)


def test_unsigned_integers_that_do_not_fit_are_refused():
    scorer = _scorer(id=tf.TensorSpec([None], tf.int64))
    assert load_examples({"id": np.array([1, 2], np.uint64)}, scorer)["id"].tolist() == [1, 2]
    with pytest.raises(InputError, match="'id'"):
        load_examples({"id": np.array([1, 2**63], np.uint64)}, scorer)
    with pytest.raises(InputError, match="'id'"):
        load_examples({"id": np.array([1, -1])}, _scorer(id=tf.TensorSpec([None], tf.uint64)))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_examples_make_no_batch(count):
    with pytest.raises(InputError, match=f"{count} examples; accepted: 2 or more"):
        load_examples({name: array[:count] for name, array in GOOD.items()}, RANKER)


def test_no_arrays_at_all_are_refused():
    with pytest.raises(InputError, match="lack"):
        load_examples({}, RANKER)
    with pytest.raises(InputError, match="empty"):
        load_examples(
            {},
            SimpleNamespace(
                name="a model", constants={}, places={}, signature=None, defaults={}, inputs=None
            ),
        )


def test_an_input_without_a_free_batch_dimension_can_not_be_verified():
    with pytest.raises(InputError, match="fixed batch size 32"):
        load_examples({"x": np.zeros((32, 3))}, _scorer(x=tf.TensorSpec([32, 3], tf.float32)))
    with pytest.raises(InputError, match="'rate' is a scalar"):
        load_examples({"rate": np.zeros(3)}, _scorer(rate=tf.TensorSpec([], tf.float32)))


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "examples.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"examples\.npz can't be read"):
        load_examples(path, RANKER)


def test_a_file_cut_off_half_way_is_refused(tmp_path):
    path = tmp_path / "examples.npz"
    np.savez(path, **GOOD)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"examples\.npz can't be read"):
        load_examples(path, RANKER)


def test_a_file_with_damaged_data_is_refused(tmp_path):
    path = tmp_path / "examples.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(400, 3)), id=np.arange(400))
    content = bytearray(path.read_bytes())
    content[2000:2050] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"examples\.npz can't be read"):
        load_examples(path, RANKER)


def test_pickled_objects_and_single_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", x=np.array([{}, {}], object), id=np.arange(2))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("objects.npz", "array.npy", "missing.npz"):
        with pytest.raises(InputError, match=name):
            load_examples(tmp_path / name, RANKER)


def test_without_examples_the_error_says_what_to_give():
    with pytest.raises(InputError, match=r"no examples; give an \.npz .*x: float32 \[None, 3\]"):
        load_examples(None, RANKER)
    with pytest.raises(InputError, match="a dict of input name"):
        load_examples([1, 2], RANKER)
