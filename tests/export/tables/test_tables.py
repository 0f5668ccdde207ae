"""Ids that a table does not have, and tables in fewer bytes."""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.assets import tables_file
from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.export.tables.moves import moves
from tfnorm.export.tables.stored import stored_rows
from tfnorm.models import DIN
from tfnorm.models.embedding import IdEmbedding
from tfnorm.session import SavedModel
from tfnorm.verify import verify_batch_invariance

ITEMS, CATEGORIES, COUNT, STEPS = 30, 7, 16, 4


def examples():
    rng = np.random.default_rng(0)
    there = np.arange(STEPS) < rng.integers(1, STEPS + 1, COUNT)[:, None]
    return {
        "item": rng.integers(1, ITEMS, COUNT).astype("i4"),
        "category": rng.integers(1, CATEGORIES, COUNT).astype("i4"),
        "history_items": (rng.integers(1, ITEMS, (COUNT, STEPS)) * there).astype("i4"),
        "history_categories": (rng.integers(1, CATEGORIES, (COUNT, STEPS)) * there).astype("i4"),
    }


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    made = DIN(
        item_count=ITEMS,
        category_count=CATEGORIES,
        embedding_size=4,
        units=(6,),
        attention_units=(5,),
    )
    made({name: tf.constant(array) for name, array in examples().items()}, training=True)
    return made


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    made = {}

    def exported(**settings):
        key = str(settings)
        if key not in made:
            made[key] = export_saved_model(
                model,
                tmp_path_factory.mktemp("export"),
                examples=examples(),
                allow_misfit_statistics=True,
                fold=False,
                **settings,
            )
        return made[key]

    return exported


def spoilt(name, number):
    """The examples, with a bad id in the second one."""
    rows = examples()
    rows[name].reshape(COUNT, -1)[1, 0] = number
    return rows


@pytest.mark.parametrize("number", [-1, 2**31 - 1])
@pytest.mark.parametrize("name", ["item", "category", "history_items"])
def test_a_bad_id_gives_nan_to_its_own_row_and_moves_no_other(exported, name, number):
    with SavedModel(exported(unknown_ids="nan").path) as saved:
        expected, scores = saved.run(examples())["score"], saved.run(spoilt(name, number))["score"]
    assert np.isnan(scores[1]).all()
    assert np.delete(scores, 1, 0).tobytes() == np.delete(expected, 1, 0).tobytes()


@pytest.mark.slow
def test_a_bad_id_gets_the_row_that_stands_for_it(exported):
    with SavedModel(exported(unknown_ids=3).path) as saved:
        expected = saved.run(spoilt("item", 3))["score"]
        for number in (-1, ITEMS, 2**31 - 1):
            assert saved.run(spoilt("item", number))["score"].tobytes() == expected.tobytes()


@pytest.mark.slow
def test_a_bad_id_is_an_error_by_default(exported):
    with SavedModel(exported().path) as saved:
        for number in (-1, ITEMS):
            with pytest.raises(InputError, match="refuses these inputs"):
                saved.run(spoilt("item", number))
    assert not tables_file(exported().path).exists()


def test_a_negative_id_of_keras_is_not_taken_for_the_last_row(tmp_path):
    ids = keras.Input((), name="id", dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(5, 2)(ids))
    for settings in ({}, {"fold": False}):
        report = export_saved_model(model, tmp_path, **settings)
        with SavedModel(report.path) as saved:
            good = saved.run({"id": np.arange(5, dtype="i4")})["score"]
            np.testing.assert_array_equal(good, model.layers[1].embeddings)
            with pytest.raises(InputError, match="refuses"):
                saved.run({"id": np.array([-1], "i4")})


@pytest.mark.slow
def test_the_verifier_puts_bad_rows_among_good_ones(exported):
    path = exported(unknown_ids="nan").path
    said = json.loads(tables_file(path).read_text())
    assert said["unknown_ids"] == "nan"
    assert said["outside"] == {
        "item": ITEMS,
        "category": CATEGORIES,
        "history_items": ITEMS,
        "history_categories": CATEGORIES,
    }
    settings = {"allow_misfit_statistics": True, "batch_sizes": [4]}
    report = verify_batch_invariance(path, **settings)
    assert report.passed
    assert [one.name for one in report.compositions].count("among ids that no table has") == 1
    plain = verify_batch_invariance(exported().path, **settings)
    assert "among ids that no table has" not in [one.name for one in plain.compositions]


def test_a_bad_row_that_moves_others_is_found(exported, tmp_path):
    """A graph that gives NaN to all rows where one id is bad, said to give it to that row alone."""

    class All(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "id")])
        def score(self, ids):
            bad = tf.reduce_any(ids >= 5)
            return {"score": tf.where(bad, np.nan, tf.cast(ids, tf.float32))}

    module = All()
    tf.saved_model.save(module, str(tmp_path), signatures=module.score)
    tables_file(tmp_path).parent.mkdir()
    tables_file(tmp_path).write_text(json.dumps({"outside": {"id": 5}}))
    report = verify_batch_invariance(tmp_path, {"id": np.arange(5, dtype="i4")}, batch_sizes=[4])
    failed = {one.name for one in report.compositions if not one.passed}
    assert failed == {"among ids that no table has"}


def test_a_file_of_tables_that_is_damaged_is_named(exported, tmp_path):
    module = tf.Module()
    module.score = tf.function(
        lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], name="x")]
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.score)
    tables_file(tmp_path).parent.mkdir()
    tables_file(tmp_path).write_text("{")
    with pytest.raises(InputError, match=r"tables\.json can't be read"):
        verify_batch_invariance(tmp_path, {"x": np.ones(3, "f4")})


@pytest.mark.parametrize("kind", [keras.layers.Embedding, IdEmbedding])
def test_stored_rows_are_within_what_is_stated(kind):
    table = np.random.default_rng(0).normal(size=(70_000, 3)).astype("f4")
    table[0], table[1] = 0, [1e-8, -3e4, 2.0]
    layer = kind(70_000, 3)
    layer.build(None)
    layer.set_weights([table])
    ids = tf.constant([0, 1, 65_535, 65_536, 69_999])
    wanted = table[ids.numpy()].astype(np.float64)
    half = stored_rows(layer, "float16")(ids).numpy()
    assert half.dtype == np.float32
    assert (np.abs(half - wanted) <= np.abs(wanted) / 2048 + 2.0**-25).all()
    eighth = stored_rows(layer, "int8")(ids).numpy()
    scale = np.abs(wanted).max(1, keepdims=True) / 127
    assert (np.abs(eighth - wanted) <= scale / 2 * (1 + 1e-6)).all()
    assert eighth[0].tolist() == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("store", ["float16", "int8"])
def test_tables_in_fewer_bytes_score_the_same_within_what_is_told(exported, store):
    report = exported(embeddings=store, unknown_ids="nan", signatures=["candidates", "tf_example"])
    with SavedModel(report.path) as saved, SavedModel(exported().path) as plain:
        found, expected = saved.run(examples())["score"], plain.run(examples())["score"]
        assert np.isnan(saved.run(spoilt("item", ITEMS))["score"][1])
    moved = np.abs(found.astype(float) - expected).max()
    assert 0 < moved == pytest.approx(report.moves.largest)
    assert report.moves.examples == COUNT
    assert json.loads(tables_file(report.path).read_text())["moves"]["largest"] == moved
    loaded = tf.saved_model.load(str(report.path)).signatures["serving_default"]
    scores = loaded(**{name: tf.constant(array) for name, array in examples().items()})["score"]
    np.testing.assert_allclose(scores, found, rtol=1e-6)
    reader = tf.train.load_checkpoint(str(report.path / "variables" / "variables"))
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()
    tables = [dtypes[name].name for name, shape in shapes.items() if shape == [ITEMS, 4]]
    assert tables == [store]


def test_scores_that_move_too_far_are_refused():
    before = {"score": np.linspace(0, 1, 50, dtype="f4")[:, None]}
    assert moves(before, before, "int8").pairs == 0
    with pytest.raises(
        InputError, match=r"moves a score by up to 0\.05 and changes the order of 0\.00%"
    ):
        moves(before, {"score": before["score"] + 0.05}, "int8")
    swapped = before["score"].copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    swapped[[4, 5, 6]] = swapped[4]
    near = {"score": 1e-4 * before["score"]}
    with pytest.raises(
        InputError, match=r"changes the order of 0\.33% of the pairs of 50 examples"
    ):
        moves(near, {"score": 1e-4 * swapped}, "float16")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"unknown_ids": "oov"},
            "unknown_ids is 'oov'; accepted: 'error', 'nan', or a row's number",
        ),
        ({"unknown_ids": -1}, "unknown_ids is -1"),
        ({"unknown_ids": 7}, "table 'categories' has 7 rows; accepted: a row that each table has"),
        ({"embeddings": "int4"}, "embeddings is 'int4'; accepted: 'float32', 'float16', 'int8'"),
    ],
)
def test_settings_that_are_none_are_refused(model, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        export_saved_model(model, tmp_path, examples=examples(), **settings)


def test_a_model_without_tables_and_tables_of_its_own_code_are_refused(tmp_path):
    class Own(keras.layers.Embedding):
        def call(self, inputs):
            return 2 * super().call(inputs)

    x, ids = keras.Input((2,), name="x"), keras.Input((), name="id", dtype="int32")
    with pytest.raises(InputError, match="has no Embedding"):
        export_saved_model(keras.Model(x, keras.layers.ReLU()(x)), tmp_path, unknown_ids="nan")
    own = keras.Model(ids, Own(5, 2, name="own")(ids))
    with pytest.raises(InputError, match=r"'own' \(Own\) looks up embeddings by code of its own"):
        export_saved_model(own, tmp_path, unknown_ids="nan")
    assert export_saved_model(own, tmp_path).version == 1


@pytest.fixture
def of_a_large_table():
    """A model and examples of it, few of whose rows are looked up."""
    x = keras.Input((), name="id", dtype="int32")
    table = keras.layers.Embedding(1 << 17, 32, embeddings_initializer="uniform")
    made = keras.Model(x, keras.layers.Dense(1)(table(x)))
    return made, {"id": np.arange(COUNT, dtype=np.int32)}


def saved_then(monkeypatch, change):
    """Have `change` called with the folder of each SavedModel once it is written."""
    save = tf.saved_model.save

    def saved(module, path, signatures):
        save(module, path, signatures)
        change(Path(path, "variables"))

    monkeypatch.setattr(tf.saved_model, "save", saved)


def test_a_large_table_is_checked_without_a_copy(tmp_path, monkeypatch, of_a_large_table):
    model, features = of_a_large_table
    load, taken = tf.train.load_checkpoint, []

    class Reader:
        def __init__(self, prefix):
            self.reader = load(prefix)

        def get_tensor(self, key):
            taken.append(self.reader.get_tensor(key))
            return taken[-1]

    monkeypatch.setattr(tf.train, "load_checkpoint", Reader)
    report = export_saved_model(model, tmp_path, examples=features)
    assert report.compared == COUNT
    assert sorted(value.size for value in taken) == [1, 32]
    with SavedModel(report.path) as saved:
        scores = saved.run(features)["score"]
    np.testing.assert_allclose(scores, model.predict(features, verbose=0), rtol=1e-6)


@pytest.mark.parametrize("at", [0, -8_000_000])
def test_a_damaged_table_is_not_published(tmp_path, monkeypatch, of_a_large_table, at):
    def damage(folder):
        (file,) = folder.glob("*.data-*")
        with file.open("r+b") as opened:
            opened.seek(at, os.SEEK_END if at else os.SEEK_SET)
            byte = opened.read(1)
            opened.seek(-1, os.SEEK_CUR)
            opened.write(bytes([byte[0] ^ 1]))

    saved_then(monkeypatch, damage)
    model, features = of_a_large_table
    with pytest.raises(InputError, match="can't be loaded"):
        export_saved_model(model, tmp_path / "exports", examples=features)
    assert not list((tmp_path / "exports").iterdir())
