import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.verify import batch_invariance, load_scorer

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


def test_a_saved_model_is_run_by_another_of_its_signatures(tmp_path):
    module = tf.Module()
    spec = [tf.TensorSpec([None, 3], tf.float32, "x")]
    double = tf.function(lambda x: {"double": 2 * x}, input_signature=spec)
    half = tf.function(lambda x: {"half": x / 2}, input_signature=spec)
    tf.saved_model.save(module, tmp_path, signatures={"serving_default": double, "half": half})
    assert list(load_scorer(tmp_path).score({"x": X})) == ["double"]
    np.testing.assert_allclose(
        load_scorer(tmp_path, signature="half").score({"x": X})["half"], X / 2, rtol=1e-6
    )
    with pytest.raises(InputError, match="no signature 'third'"):
        load_scorer(tmp_path, signature="third")


def test_string_inputs_reach_the_model(tmp_path):
    module = tf.Module()
    spec = [tf.TensorSpec([None], tf.string, "word")]
    length = tf.function(lambda word: {"length": tf.strings.length(word)}, input_signature=spec)
    tf.saved_model.save(module, tmp_path, signatures=length)
    words = ["a", "né", ""]
    scores = load_scorer(tmp_path).score({"word": np.array([w.encode() for w in words], object)})
    assert scores["length"].tolist() == [1, 3, 0]
    assert batch_invariance(tmp_path, {"word": words}).passed


def test_a_directory_without_a_model_and_a_damaged_one_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="holds no SavedModel"):
        load_scorer(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(InputError, match="can't be loaded as a SavedModel"):
        load_scorer(tmp_path)


@pytest.fixture(scope="module")
def doubling(tmp_path_factory):
    """A version that doubles in 16 bits, with a file of examples kept beside it."""
    directory = tmp_path_factory.mktemp("doubling")
    module = tf.Module()
    spec = [tf.TensorSpec([None, 3], tf.float32, "x")]
    module.double = tf.function(
        lambda x: {"double": tf.cast(2 * tf.cast(x, tf.float16), tf.float32)}, input_signature=spec
    )
    tf.saved_model.save(module, directory / "7", signatures=module.double)
    (directory / "7" / "assets.extra").mkdir()
    np.savez(directory / "7" / "assets.extra" / "examples.npz", x=X)
    return directory


def test_it_tells_its_version_its_precision_and_the_examples_it_keeps(doubling):
    scorer = load_scorer(doubling)
    assert scorer.name == str(doubling / "7")
    assert scorer.signature == "serving_default"
    assert scorer.precision == "float16"
    assert scorer.kept_examples == doubling / "7" / "assets.extra" / "examples.npz"
    assert not scorer.remote


def test_without_a_file_there_are_no_kept_examples(tmp_path):
    module = tf.Module()
    module.same = tf.function(tf.identity, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, tmp_path, signatures=module.same)
    assert load_scorer(tmp_path).kept_examples is None


def test_what_it_lays_open_is_the_model_that_scores_and_stays_open(doubling):
    scorer = load_scorer(doubling)
    with scorer.as_saved_model() as model:
        assert model.path == doubling / "7"
        np.testing.assert_array_equal(
            model.run({"x": X}, signature=scorer.signature)["double"],
            2 * X.astype(np.float16).astype(np.float32),
        )
    assert scorer.score({"x": X})["double"].shape == (8, 3)


def test_what_the_graph_refuses_is_told_in_one_line_with_the_models_name(tmp_path):
    def checked(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 5.0)]):
            return tf.identity(x)

    module = tf.Module()
    module.checked = tf.function(checked, input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(module, tmp_path, signatures=module.checked)
    scorer = load_scorer(tmp_path)
    with pytest.raises(InputError, match=f"^{tmp_path}: ") as error:
        scorer.score({"x": np.float32([9.0])})
    assert "\n" not in str(error.value)
