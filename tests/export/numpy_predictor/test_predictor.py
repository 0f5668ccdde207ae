"""Whole models, in memory and as the file that `save` writes."""

import json
import os
import subprocess
import sys

import hypothesis
import keras
import numpy as np
import pytest
from export.numpy_predictor.compared import IDS, check, masked, normal, randomized
from hypothesis import strategies as st

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import to_numpy
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.models import DIEN, DIN
from tfnorm.schema import History, Id, Number, Schema

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not support masking")


def din_examples(rows, length, seed=0):
    rng = np.random.default_rng(seed)
    history = rng.integers(1, 30, (rows, length)).astype(np.int32)
    history *= np.arange(length) < rng.integers(0, length + 1, (rows, 1))
    item = rng.integers(1, 30, rows).astype(np.int32)
    return {
        "item": item,
        "category": item % 5,
        "history_items": history,
        "history_categories": history % 5,
    }


@pytest.fixture(scope="module")
def din():
    return randomized(DIN(item_count=30, category_count=5, attention_units=(8, 4), units=(16, 8)))


@pytest.mark.parametrize(("rows", "length"), [(50, 7), (1, 1), (3, 0), (0, 4)])
def test_din_scores_as_in_keras(din, rows, length):
    check(din, din_examples(rows, length))


@pytest.mark.parametrize(
    "variant",
    [
        {"attention": False, "activation": "prelu"},
        {"activation": "prelu", "dropout": 0.5},
        {"batch_normalization": False},
    ],
    ids=str,
)
def test_a_variant_of_din_scores_as_in_keras(variant):
    model = DIN(30, 5, embedding_size=4, attention_units=(8,), units=(8,), **variant)
    check(randomized(model), din_examples(20, 6))


def test_the_features_of_a_schema_score_as_in_keras():
    schema = Schema(
        [
            Id("item", size=30, width=4),
            Id("tags", size=9, width=3, many=True, combine="sum"),
            Number("price", scale="log"),
            Number("vector", length=2, scale="standard", mean=[1.0, 2.0], deviation=[3.0, 0.0]),
            History("history", of={"item": "seen"}, numbers=["seconds"]),
        ],
        target=["item"],
    )
    model = randomized(DIN(schema, attention_units=(8,), units=(8,), softmax=False))
    rng = np.random.default_rng(0)
    valid = np.arange(5) < rng.integers(0, 6, (20, 1))
    examples = {
        "item": rng.integers(30, size=20),
        "tags": rng.integers(9, size=(20, 3)),
        "price": rng.normal(size=20).astype(np.float32),
        "vector": rng.normal(size=(20, 2)).astype(np.float32),
        "seen": rng.integers(1, 30, (20, 5)) * valid,
        "seconds": (rng.random((20, 5)) * valid).astype(np.float32),
    }
    check(model, examples)


@pytest.mark.parametrize("variant", [{}, {"activation": "prelu", "batch_normalization": False}])
def test_dien_scores_as_in_keras(variant):
    model = randomized(DIEN(30, 5, embedding_size=4, units=(8, 6), **variant))
    predictor = check(model, din_examples(20, 6))
    examples = din_examples(3, 5)
    longer = {
        name: np.pad(array, ((0, 0), (0, 4))) if array.ndim > 1 else array
        for name, array in examples.items()
    }
    np.testing.assert_allclose(predictor(longer), predictor(examples), rtol=1e-6)
    check(model, din_examples(1, 1))


def test_din_of_the_size_of_the_paper_scores_as_in_keras():
    model = randomized(DIN(item_count=500, category_count=20))
    rng = np.random.default_rng(1)
    history = rng.integers(0, 20, (64, 100))
    item = rng.integers(0, 20, 64)
    features = {"item": item, "category": item, "history_items": history}
    check(model, {**features, "history_categories": history})


def test_a_model_that_was_saved_and_loaded_is_written_as_before(tmp_path):
    model = masked(lambda x: keras.layers.GRU(4)(Dice()(keras.layers.Dense(4)(x))))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    predictor = check(loaded, IDS)
    np.testing.assert_allclose(predictor(IDS), to_numpy(model)(IDS), rtol=1e-6)


def test_weights_keep_the_names_and_values_that_they_have_in_keras(din):
    weights = to_numpy(din).weights
    # How many updates the statistics are from is for training alone.
    assert len(weights) == sum(weight.name != "updates" for weight in din.weights)
    np.testing.assert_array_equal(weights["dense_1/kernel"], din.get_layer("dense_1").kernel)
    np.testing.assert_array_equal(
        weights["dice_2/moving_mean"], din.get_layer("dice_2").moving_mean
    )


def test_the_predictor_does_not_change_with_the_model():
    model = randomized(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    x = np.ones((1, 3), np.float32)
    predictor = to_numpy(model)
    before = predictor(x)
    randomized(model, seed=1)
    np.testing.assert_array_equal(predictor(x), before)


def test_inputs_that_do_not_fit_are_refused_in_one_line(din):
    predictor = to_numpy(din)
    good = din_examples(4, 3)
    for name, array, message in [
        ("item", good["item"][:, None], "'item' is int32 of the shape"),
        ("item", good["item"] + 0.5, "'item' is float64"),
        ("item", good["item"].astype(str), "'item' is <U"),
        ("item", good["item"].astype(np.int64) + 2**32, "'item' has numbers that are too large"),
        ("item", good["item"][:3], "3, 4, 4, 4 rows"),
    ]:
        with pytest.raises(InputError, match=message):
            predictor({**good, name: array})
    with pytest.raises(InputError, match="'category' is missing"):
        predictor({"item": good["item"]})
    with pytest.raises(InputError, match="'category' is missing"):
        predictor(good["item"])


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {"numpy", "predict", *sys.stdlib_module_names}:
            raise ImportError(f"{name} is not NumPy")

sys.meta_path.insert(0, Blocked())
"""


def run(code, *arguments, cwd):
    """Run code where nothing but NumPy and the standard library can be imported."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )


SCRIPT = """
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_saved_file_runs_where_only_numpy_can_be_imported(din, tmp_path):
    examples = din_examples(6, 5)
    path = to_numpy(din).save(tmp_path / "new folder" / "din")
    assert sorted(file.name for file in path.parent.iterdir()) == ["predict.py", "weights.npz"]
    np.savez(tmp_path / "examples.npz", **examples)

    printed = run(SCRIPT, path, tmp_path / "examples.npz", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    scores = np.array(json.loads(printed.stdout)["score"])
    np.testing.assert_allclose(scores, din(examples), atol=1e-6)

    imported = run(
        "import numpy as np; sys.path.insert(0, sys.argv[1]); from predict import predict\n"
        "np.save('scores.npy', predict(np.load('examples.npz')))",
        path.parent,
        cwd=tmp_path,
    )
    assert imported.returncode == 0, imported.stderr
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), din(examples), atol=1e-6)

    blocked = run("import keras", cwd=tmp_path)
    assert "keras is not NumPy" in blocked.stderr


def test_the_saved_file_without_examples_says_how_to_use_it(din, tmp_path):
    path = to_numpy(din).save(tmp_path / "din")
    done = run(SCRIPT, path, cwd=tmp_path)
    assert done.returncode != 0
    assert "python predict.py examples.npz" in done.stderr


def test_what_is_saved_is_what_ran_in_memory(din, tmp_path):
    predictor = to_numpy(din)
    path = predictor.save(tmp_path / "din")
    assert path.read_text(encoding="utf-8") == predictor.source
    with np.load(path.parent / "weights.npz") as saved:
        assert set(saved.files) == predictor.weights.keys()
        for key in saved.files:
            np.testing.assert_array_equal(saved[key], predictor.weights[key])


def test_save_fills_an_empty_folder_but_overwrites_nothing(din, tmp_path):
    predictor = to_numpy(din)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".tfnorm-numpy-left-by-one-that-was-killed").mkdir()
    predictor.save(tmp_path / "empty")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for place in (tmp_path / "full", tmp_path / "full" / "mine", tmp_path / "empty"):
        with pytest.raises(InputError, match="new folder"):
            predictor.save(place)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty", "full"]
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine"]


KINDS = {
    "relu": lambda: keras.layers.Dense(4, "relu"),
    "gelu": lambda: keras.layers.Dense(4, "gelu"),
    "batch normalization": BatchNormalization,
    "keras's": lambda: keras.layers.BatchNormalization(scale=False),
    "dice": Dice,
    "layer normalization": keras.layers.LayerNormalization,
    "dropout": lambda: keras.layers.Dropout(0.3),
    "prelu": keras.layers.PReLU,
    "softmax": keras.layers.Softmax,
    "nested": lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), Dice()]),
}


MERGES = {
    "add": keras.layers.Add,
    "average": keras.layers.Average,
    "maximum": keras.layers.Maximum,
    "multiply": keras.layers.Multiply,
}


TENSOR = st.integers(0, 9)


STEPS = st.lists(
    st.tuples(st.sampled_from([*KINDS, "shared"]), TENSOR)
    | st.tuples(st.sampled_from([*MERGES]), st.tuples(TENSOR, TENSOR)),
    max_size=8,
)


def built(steps):
    """A model of two inputs: each step takes earlier tensors, by their numbers."""
    inputs = {
        "x": keras.Input((4,), name="x"),
        "id": keras.Input((), name="id", dtype="int32"),
    }
    tensors = [inputs["x"], keras.layers.Embedding(10, 4)(inputs["id"])]
    shared = keras.layers.Dense(4, "tanh")
    for kind, taken in steps:
        if kind in MERGES:
            tensors.append(MERGES[kind]()([tensors[i % len(tensors)] for i in taken]))
        else:
            layer = shared if kind == "shared" else KINDS[kind]()
            tensors.append(layer(tensors[taken % len(tensors)]))
    # Keras 3.10 takes no input that no layer is called on.
    merged = keras.layers.Concatenate()([tensors[0], *tensors[-3:]])
    return keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(merged))


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(steps=STEPS, rows=st.integers(1, 4), seed=st.integers(0, 99))
def test_random_models_predict_as_in_keras(steps, rows, seed):
    model = randomized(built(steps), seed)
    x = normal(rows, 4, seed=seed)
    ids = np.random.default_rng(seed).integers(0, 10, rows).astype(np.int32)
    predictor = check(model, {"x": x, "id": ids})
    # TensorFlow itself fails on no rows, where it adds.
    assert predictor({"x": x[:0], "id": ids[:0]}).shape == (0, 1)
