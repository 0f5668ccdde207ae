"""Whole models under each of Keras's policies, and as short trainings and older files leave them."""

import zipfile

import h5py
import keras
import numpy as np
import pytest
from oracles import assert_close

from tfnorm.models import DIEN, DIN

ROWS = 600
MODELS = pytest.mark.parametrize("Model", [DIN, DIEN])


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    ids = {
        "item": rng.integers(1, 500, ROWS),
        "category": rng.integers(1, 30, ROWS),
        "history_items": rng.integers(1, 500, (ROWS, 6)),
        "history_categories": rng.integers(1, 30, (ROWS, 6)),
        "negative_items": rng.integers(1, 500, (ROWS, 6)),
        "negative_categories": rng.integers(1, 30, (ROWS, 6)),
    }
    return {name: column.astype(np.int32) for name, column in ids.items()}


@pytest.fixture
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def make(Model, **options):
    keras.utils.set_random_seed(0)
    return Model(500, 30, embedding_size=6, units=(16, 8), **options)


def scores(model, features):
    return model({name: features[name] for name in model.input}, training=False).numpy()


@pytest.mark.parametrize(
    ("Model", "policy"),
    [
        (DIN, "mixed_bfloat16"),
        (DIEN, "mixed_bfloat16"),
        (DIN, "mixed_float16"),
        (DIEN, "mixed_float16"),
        # Keras can't initialize a GRU in it.
        (DIN, "bfloat16"),
        (DIEN, "float64"),
    ],
    indirect=["policy"],
)
def test_scores_are_float32_or_wider_and_tell_rows_apart(Model, policy, features):
    """In bfloat16 there are 256 numbers from 0.5 to 1, and a model's scores take far fewer."""
    model = make(Model)
    found = scores(model, features)
    assert found.dtype == ("float64" if policy == "float64" else "float32")
    assert len(np.unique(found)) > 0.98 * ROWS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("Model", "policy"),
    [(DIN, "mixed_float16"), (DIEN, "mixed_bfloat16")],
    indirect=["policy"],
)
def test_they_learn_in_half_precision_as_in_float32(Model, policy, features):
    half = make(Model)
    keras.config.set_dtype_policy("float32")
    single = make(Model)
    labels = (features["item"] % 2)[:, None]
    losses = []
    for model in (half, single):
        model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
        history = model.fit(features, labels, batch_size=100, shuffle=False, epochs=2, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(*losses, rtol=0.02)
    assert_close(scores(half, features), scores(single, features), 0.05)


@pytest.mark.slow
@MODELS
def test_a_short_training_leaves_nothing_of_the_initial_statistics(Model, features):
    """Ten updates of momentum 0.99 would leave nine tenths of them."""
    model = make(Model)
    labels = (features["item"] % 2)[:, None]
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy")
    model.fit(features, labels, batch_size=60, verbose=0)
    normalization = model.get_layer("normalization")
    inputs = {name: features[name] for name in model.input}
    x = keras.Model(model.input, normalization.input)(inputs).numpy().astype(np.float64)
    assert_close(normalization.moving_mean, x.mean(0), 2e-2)
    np.testing.assert_allclose(normalization.moving_variance, x.var(0), rtol=0.5, atol=1e-4)


@pytest.mark.slow
@MODELS
def test_a_file_of_a_model_that_did_not_warm_up_loads(Model, features, tmp_path):
    """As this library's 0.1 saved them: without a count of updates. The statistics are kept as they are."""
    model = make(Model)
    for weight in model.weights:
        if "moving" in weight.path:
            weight.assign(np.random.default_rng(1).uniform(0.5, 1.5, weight.shape))
    model.save(tmp_path / "model.keras")
    expected = scores(model, features)
    with zipfile.ZipFile(tmp_path / "model.keras") as saved:
        saved.extractall(tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "r+") as weights:
        for name, last in (("batch_normalization", "4"), ("dice", "3"), ("dice_1", "3")):
            del weights[f"layers/{name}/vars/{last}"]
    with zipfile.ZipFile(tmp_path / "older.keras", "w") as older:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            older.write(tmp_path / name, name)
    loaded = keras.saving.load_model(tmp_path / "older.keras")
    np.testing.assert_array_equal(scores(loaded, features), expected)
    labels = (features["item"] % 2)[:, None]
    loaded.compile("sgd", "binary_crossentropy", run_eagerly=True)
    before = model.get_layer("normalization").moving_variance.numpy()
    loaded.fit(features, labels, batch_size=ROWS, verbose=0)
    after = loaded.get_layer("normalization").moving_variance.numpy()
    assert_close(after, 0.99 * before, 0.02)
