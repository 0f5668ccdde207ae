import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hand_made import saved

import tfnorm
from tfnorm.errors import InputError
from tfnorm.layers import BatchNormalization
from tfnorm.models import DIEN, DIN
from tfnorm.session import (
    SavedModel,
    find_saved_model,
    versions,
)


class Affine(tf.Module):
    """y = factor x, and a greeting, by two signatures."""

    def __init__(self, factor):
        super().__init__()
        self.factor = tf.Variable(factor)
        self.table = tf.Variable(tf.eye(3))

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])
    def scale(self, x):
        return {"y": self.factor * x, "rows": tf.shape(x)[0]}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="name")])
    def greet(self, name):
        return {"greeting": tf.strings.join(["hello ", name])}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, name="id")])
    def look_up(self, id):
        return {"row": tf.gather(self.table, id)}

    def save(self, path):
        signatures = {"serving_default": self.scale, "greet": self.greet, "look_up": self.look_up}
        tf.saved_model.save(self, str(path), signatures=signatures)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("affine")
    Affine(2.0).save(folder / "1")
    Affine(3.0).save(folder / "12")
    (folder / "99").mkdir()
    return folder


@pytest.fixture(scope="module")
def model(directory):
    with SavedModel(directory) as model:
        yield model


def test_the_newest_complete_version_is_found(directory):
    assert list(versions(directory)) == [1, 12]
    assert find_saved_model(directory) == directory / "12"
    assert find_saved_model(directory / "1") == directory / "1"


@pytest.mark.parametrize("name", ["a[b]c", "[ab]", "a\\b", "a*"])
def test_a_path_that_could_be_taken_for_a_pattern_is_loaded(directory, tmp_path, monkeypatch, name):
    shutil.copytree(directory / "12", tmp_path / name / "12")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "links").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "links"))
    with SavedModel(name) as model:
        assert not list((tmp_path / "links").iterdir())
        assert model.path == Path(name, "12")
        assert model.run({"x": np.ones((1, 2), np.float32)})["y"].tolist() == [[3, 3]]


def test_a_path_that_is_no_utf_8_is_refused_in_a_line_that_can_be_printed(directory, tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff")
    shutil.copytree(directory / "12", path)
    with pytest.raises(InputError) as error:
        SavedModel(path)
    assert str(error.value).isprintable()
    assert r"a\udcff' is no UTF-8" in str(error.value)


def test_signatures_tell_dtypes_and_shapes(model):
    signature = model.signature()
    assert signature.inputs["x"].dtype == tf.float32
    assert signature.inputs["x"].shape.as_list() == [None, 2]
    assert set(signature.outputs) == {"y", "rows"}
    assert set(model.signatures) == {"serving_default", "greet", "look_up"}


def test_a_signature_computes_what_the_module_does(model):
    x = np.array([[1, 2], [3, 4]], np.float32)
    found = model.run({"x": x})
    np.testing.assert_array_equal(found["y"], 3 * x)
    assert found["rows"] == 2


def test_strings_go_in_and_out(model):
    names = np.array([b"Ada", b"Alan"], object)
    found = model.run({"name": names}, signature="greet")
    assert found["greeting"].tolist() == [b"hello Ada", b"hello Alan"]


def test_only_the_outputs_asked_for_are_computed(model):
    assert list(model.run({"x": np.zeros((1, 2), np.float32)}, outputs=["rows"])) == ["rows"]


@pytest.mark.parametrize(
    ("feeds", "reason"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((1, 2), np.float32), "z": np.zeros(1)}, "there is no input 'z'"),
        ({"x": np.zeros((1, 2))}, "'x' has dtype float64"),
        ({"x": np.zeros((1, 3), np.float32)}, r"shape \[1, 3\]; accepted: .* \[None, 2\]"),
        ({"x": np.zeros(2, np.float32)}, r"shape \[2\]"),
    ],
)
def test_feeds_that_do_not_fit_are_refused_with_what_is_accepted(model, feeds, reason):
    with pytest.raises(InputError, match=reason):
        model.run(feeds)


def test_unknown_signatures_and_outputs_are_refused(model):
    with pytest.raises(InputError, match="no signature 'score'; it has"):
        model.run({}, signature="score")
    with pytest.raises(InputError, match="no output 'z'; signature 'serving_default' gives"):
        model.run({"x": np.zeros((1, 2), np.float32)}, outputs=["z"])


def test_an_id_outside_its_table_is_refused_and_the_model_lives_on(model):
    with pytest.raises(InputError, match=r"look_up.* refuses these inputs"):
        model.run({"id": np.array([7], np.int32)}, signature="look_up")
    found = model.run({"id": np.array([1], np.int32)}, signature="look_up")
    assert found["row"].tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(("record", "quoted"), [(b"text", "text"), (b"\xff\xfe", "\ufffd\ufffd")])
def test_what_an_op_quotes_need_not_be_text(record, quoted, tmp_path):
    spec = {"x": tf.io.FixedLenFeature([], tf.float32)}
    records = tf.TensorSpec([None], tf.string, "records")
    directory = saved(tmp_path / "1", lambda records: tf.io.parse_example(records, spec), records)
    with SavedModel(directory) as model:
        given = {"records": np.array([record], object)}
        with pytest.raises(InputError, match=f"refuses these inputs: .*parse.*'{quoted}'"):
            model.run(given)


def test_threads_get_their_own_answers(model):
    start = threading.Barrier(8)

    def score(seed):
        start.wait()
        rng = np.random.default_rng(seed)
        for _ in range(50):
            x = rng.standard_normal((rng.integers(1, 9), 2)).astype(np.float32)
            np.testing.assert_array_equal(model.run({"x": x})["y"], 3 * x)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(score, range(8)))


def test_what_is_no_saved_model_is_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        SavedModel(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no SavedModel"):
        SavedModel(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"not a protocol buffer")
    with pytest.raises(InputError, match="can't be loaded"):
        SavedModel(tmp_path)


def test_a_saved_model_without_its_variables_is_named(tmp_path):
    Affine(2.0).save(tmp_path)
    for file in (tmp_path / "variables").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="can't be loaded"):
        SavedModel(tmp_path)


def test_an_output_may_be_an_input_and_two_inputs_the_same_tensor(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None], "x")
        info = tf.compat.v1.saved_model.build_tensor_info
        doubled, given = info(2 * x), info(x)
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "1"))
        definition = tf.compat.v1.saved_model.build_signature_def(
            {"a": given, "b": given}, {"again": given, "doubled": doubled, "twice": doubled}, "p"
        )
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": definition})
        builder.save()
    x = np.array([1, 2], np.float32)
    with SavedModel(tmp_path / "1") as loaded:
        found = loaded.run({"a": x, "b": x})
        assert {k: v.tolist() for k, v in found.items()} == {
            "again": [1, 2],
            "doubled": [2, 4],
            "twice": [2, 4],
        }
        assert loaded.run({"a": x, "b": x}, outputs=["again"])["again"].tolist() == [1, 2]
        assert loaded.run({"a": x, "b": x}, outputs=[]) == {}


def test_a_signature_that_names_what_the_graph_lacks_is_refused(directory):
    with SavedModel(directory) as loaded:
        loaded.signature_defs["serving_default"].outputs["y"].name = "none:0"
        with pytest.raises(InputError, match="its graph has no 'none:0', which signature 'serving"):
            loaded.run({"x": np.zeros((1, 2), np.float32)})


X = np.arange(12, dtype=np.float32).reshape(6, 2)
LAID_OUT = {
    "another byte order": X.astype(">f4"),
    "columns first": np.asfortranarray(X),
    "every second row from behind": X[::-2],
    "one row many times": np.broadcast_to(X[1:2], (4, 2)),
    "not aligned": np.frombuffer(b"-" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(6, 2),
    "no row": X[:0],
}


@pytest.mark.parametrize("layout", LAID_OUT)
def test_arrays_may_lie_in_memory_in_any_way(model, layout):
    x = LAID_OUT[layout]
    np.testing.assert_array_equal(model.run({"x": x})["y"], 3 * x)


def test_scores_are_arrays_of_their_own(directory):
    given = np.ones((1000, 2), np.float32)
    with SavedModel(directory) as loaded:
        scores = loaded.run({"x": given})["y"]
        loaded.run({"x": 5 * given})
    given[:] = 7
    assert set(scores.flat) == {3}


def keras_export(build, path):
    build().export(str(path), verbose=False)


def tower():
    inputs = keras.Input((20,), name="x")
    x = keras.layers.Dense(33, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, name="score")(BatchNormalization()(x)))


def many_inputs(path):
    specs = [tf.TensorSpec([None, 1], tf.float32, f"feature_{number}") for number in range(300)]
    weights = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    saved(path, lambda *columns: tf.nn.relu(tf.concat(columns, 1) @ weights), *specs)


ITEMS = {"item_count": 30, "category_count": 7}
EXPORTS = {
    "DIN": partial(keras_export, lambda: DIN(**ITEMS)),
    "DIEN": partial(keras_export, lambda: DIEN(**ITEMS)),
    "tower": partial(keras_export, tower),
    "300 inputs": many_inputs,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_scores_have_the_bits_of_a_plain_run_of_the_session(name, tmp_path):
    keras.utils.set_random_seed(1)
    EXPORTS[name](tmp_path / "1")
    rng = np.random.default_rng(0)
    with SavedModel(tmp_path / "1") as loaded:
        features = {
            key: rng.integers(1, 7, [9, *(size or 5 for size in spec.shape[1:])]).astype(
                spec.dtype.as_numpy_dtype
            )
            for key, spec in loaded.signature().inputs.items()
        }
        definition = loaded.signature_defs["serving_default"]
        outputs = {key: info.name for key, info in definition.outputs.items()}
        for rows in (slice(0, 1), slice(1, 9)):
            feeds = {key: array[rows] for key, array in features.items()}
            plain = loaded.session.run(
                outputs, {definition.inputs[key].name: array for key, array in feeds.items()}
            )
            found = loaded.run(feeds)
            assert {key: array.tobytes() for key, array in found.items()} == {
                key: array.tobytes() for key, array in plain.items()
            }


def test_many_rows_are_scored_in_the_sessions_threads_with_the_same_bits(tmp_path):
    """A row has the same bits whichever threads the ops of its batch run in."""
    inputs = keras.Input((8,))
    branches = [keras.layers.Dense(16, activation="tanh")(inputs) for _ in range(3)]
    outputs = keras.layers.Dense(1)(keras.layers.Add()(branches))
    tfnorm.export_saved_model(keras.Model(inputs, outputs), tmp_path)
    x = np.random.default_rng(0).normal(size=(2048, 8)).astype(np.float32)
    with SavedModel(tmp_path) as model:
        (name,) = model.signature().inputs
        many, fewer = model.run({name: x}), model.run({name: x[:1023]})
    for key, values in fewer.items():
        np.testing.assert_array_equal(many[key][:1023], values)
