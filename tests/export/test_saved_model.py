from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.session import SavedModel

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 3)).astype(np.float32)
IDS = RNG.integers(0, 10, (7, 4)).astype(np.int32)


def tower(inputs):
    x = keras.layers.Dense(5, kernel_initializer=keras.initializers.GlorotUniform(1))(inputs)
    x = BatchNormalization()(x)
    x = Dice()(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.layers.Dense(1, activation="sigmoid", name="click")(x)


def train(model):
    """A few batches, so that the moving statistics are no initial values."""
    for _ in range(3):
        model(2 + 3 * RNG.normal(size=(64, 3)), training=True)
    return model


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((3,), name="x")
    return train(keras.Model(inputs, tower(inputs)))


def definitions(path):
    """Every node and function of a SavedModel."""
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    nodes = list(meta_graph.graph_def.node)
    for function in meta_graph.graph_def.library.function:
        nodes += function.node_def
    return nodes, list(meta_graph.graph_def.library.function)


def test_the_export_scores_as_the_model_does_at_inference(model, tmp_path):
    report = export_saved_model(model, tmp_path)
    with SavedModel(report.path) as saved:
        score = saved.run({"x": X})["score"]
    np.testing.assert_allclose(score, model(X, training=False), rtol=1e-5)
    assert not np.allclose(score, model(X, training=True), rtol=1e-2)


def test_the_report_says_what_the_signature_has(model, tmp_path):
    report = export_saved_model(model, tmp_path / "made" / "ranker", examples={"x": X})
    assert report.path == tmp_path / "made" / "ranker" / "1"
    assert (report.version, report.examples) == (1, 7)
    with SavedModel(report.path) as saved:
        assert list(saved.signatures) == ["serving_default"]
        assert report.inputs == saved.signature().inputs
        assert report.outputs == saved.signature().outputs
    assert report.inputs == {"x": tf.TensorSpec((None, 3), tf.float32, "x")}
    assert report.outputs == {"score": tf.TensorSpec((None, 1), tf.float32, "score")}


def test_versions_count_up_from_the_highest_number_there(model, tmp_path):
    assert export_saved_model(model, tmp_path).version == 1
    assert export_saved_model(model, tmp_path, version=7).version == 7
    assert export_saved_model(model, tmp_path).version == 8


def test_one_model_exported_by_two_threads_gives_two_good_versions(model, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: export_saved_model(model, tmp_path), range(2)))
    assert sorted(report.version for report in reports) == [1, 2]
    for report in reports:
        assert len(report.folded) == 2
        with SavedModel(report.path) as saved:
            np.testing.assert_allclose(saved.run({"x": X})["score"], model(X), rtol=1e-5)


def test_nothing_but_the_version_is_left_in_the_folder(model, tmp_path):
    export_saved_model(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_folder_whose_name_could_be_taken_for_a_pattern_is_exported_to(model, tmp_path):
    report = export_saved_model(model, tmp_path / "[a]\\*", examples={"x": X})
    assert report.path == tmp_path / "[a]\\*" / "1"
    with SavedModel(report.path) as saved:
        np.testing.assert_allclose(saved.run({"x": X})["score"], model(X), rtol=1e-5)


@pytest.mark.parametrize(("bytes_", "compared"), [(4 * 3 * 20, 20), (4 * 3 * 20 - 1, 19), (1, 16)])
def test_of_large_examples_fewer_are_compared(model, tmp_path, monkeypatch, bytes_, compared):
    monkeypatch.setattr("tfnorm.export.saved_model._COMPARED_BYTES", bytes_)
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    report = export_saved_model(model, tmp_path, examples={"x": x}, allow_misfit_statistics=True)
    assert (report.examples, report.compared) == (40, compared)


def test_examples_are_kept_in_the_dtypes_of_the_signature(tmp_path):
    ids = keras.Input((None,), name="ids", dtype="int32")
    tag = keras.Input((), name="file", dtype="string")
    vectors = keras.layers.Embedding(10, 2)(ids)
    known = keras.layers.Embedding(4, 2)(keras.layers.StringLookup(vocabulary=["é", "b"])(tag))
    score = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(vectors) + known)
    model = keras.Model([ids, tag], score)
    given = {"ids": IDS.astype(np.int64), "file": ["é", "b", "", "c", "é", "b", "b"]}
    report = export_saved_model(model, tmp_path, examples=given)

    kept = dict(np.load(report.path / "assets.extra" / "examples.npz"))
    assert kept["ids"].dtype == np.int32
    assert [value.decode() for value in kept["file"]] == given["file"]
    with SavedModel(report.path) as saved:
        score = saved.run(kept)["score"]
    np.testing.assert_allclose(
        score, model([tf.constant(IDS), tf.constant(given["file"])]), rtol=1e-5
    )


@pytest.mark.parametrize(
    "names",
    [("User", "user"), ("_x", "x"), ("x_", "_X"), ("a b", "a_b"), ("tfnorm_input_1", "é")],
)
def test_inputs_whose_names_are_one_to_tensorflow_are_two(names, tmp_path):
    a, b = keras.Input((1,), name="first"), keras.Input((1,), name="second")
    a.name, b.name = names
    model = keras.Model(dict(zip(names, (a, b), strict=True)), a - 2 * b)
    export_saved_model(model, tmp_path)
    x = {names[0]: np.float32([[1], [7]]), names[1]: np.float32([[2], [5]])}
    with SavedModel(tmp_path / "1") as saved:
        assert saved.run(x)["score"].tolist() == [[-3], [-3]]


def test_lookup_tables_are_saved_with_the_model(tmp_path):
    class Tables(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            rows = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([7, 8], tf.int64))
            self.tables = [tf.lookup.StaticVocabularyTable(rows, 2)]

        def call(self, words):
            return self.tables[0].lookup(words)[:, None]

        def compute_output_spec(self, words):
            return keras.KerasTensor((words.shape[0], 1), "int64")

    word = keras.Input((), name="word", dtype="string")
    number = keras.Input((), name="number", dtype="int64")
    text = keras.layers.TextVectorization(vocabulary=["x", "y"], output_sequence_length=2)
    known = keras.layers.IntegerLookup(vocabulary=[30, 40])(number)[:, None]
    columns = [Tables()(word), known, text(word)]
    model = keras.Model([word, number], keras.ops.concatenate(columns, axis=1))
    report = export_saved_model(model, tmp_path)
    feeds = {"word": np.array(["a", "x y", "b"]), "number": np.array([40, 30, 1])}
    with SavedModel(report.path) as saved:
        score = saved.run(feeds)["score"]
    expected = model([tf.constant(array) for array in feeds.values()])
    np.testing.assert_array_equal(score, expected)


def test_a_table_that_no_layer_has_is_refused(tmp_path):
    rows = tf.lookup.KeyValueTensorInitializer(["a"], [1.0])
    table = tf.lookup.StaticHashTable(rows, 0.0)
    word = keras.Input((), name="word", dtype="string")
    model = keras.Model(word, keras.layers.Lambda(table.lookup, output_shape=())(word))
    with pytest.raises(InputError, match="a table or another resource that is no attribute"):
        export_saved_model(model, tmp_path)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"y": X}, r"examples lack: 'x'; accepted: x: float32 \[None, 3\]"),
        ({"x": X, "y": X}, r"examples have what is no input: 'y'; accepted: x"),
        ({"x": X[:, :2]}, r"'x' have the shape \[7, 2\]; the model takes \[None, 3\]"),
        ({"x": X.astype(str)}, r"'x' have the dtype <U\d+; the model takes float32"),
        ({"x": X[:0]}, r"examples have 0 of 'x'"),
        ({}, r"examples are a dict"),
        ([X], r"examples are a list; accepted: a dict"),
    ],
)
def test_examples_that_do_not_fit_are_refused_and_nothing_is_written(
    model, tmp_path, examples, message
):
    with pytest.raises(InputError, match=message):
        export_saved_model(model, tmp_path / "ranker", examples=examples)
    assert not (tmp_path / "ranker").exists()


def test_ids_that_an_int32_input_can_not_hold_are_refused(tmp_path):
    ids = keras.Input((), name="ids", dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(10, 1)(ids))
    with pytest.raises(InputError, match="'ids' have the dtype int64; the model takes int32"):
        export_saved_model(model, tmp_path, examples={"ids": np.array([2**32 + 1])})


@pytest.mark.parametrize("examples", [{"x": X}, None])
def test_a_file_that_scores_otherwise_than_the_model_is_not_published(
    model, tmp_path, monkeypatch, examples
):
    run = SavedModel.run

    def off(saved, feeds, **options):
        return {name: 1.01 * score for name, score in run(saved, feeds, **options).items()}

    monkeypatch.setattr(SavedModel, "run", off)
    with pytest.raises(InputError, match=r"the SavedModel scores up to .* away from the model"):
        export_saved_model(model, tmp_path, examples=examples)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layer", [keras.layers.Dropout(0.5), BatchNormalization()])
def test_a_layer_that_always_trains_is_refused_not_exported_as_another(tmp_path, layer):
    inputs = keras.Input((3,), name="x")
    outputs = keras.layers.Dense(1)(
        type(layer).from_config(layer.get_config())(inputs, training=True)
    )
    with pytest.raises(InputError, match=r"is called with training=True, which model\(x\) heeds"):
        export_saved_model(keras.Model(inputs, outputs), tmp_path / "ranker")
    assert not (tmp_path / "ranker").exists()


def test_the_graph_has_stock_ops_none_marked_for_xla_and_no_assignment(model, tmp_path):
    @tf.function(jit_compile=True)
    def square(x):
        return x * x

    inputs = keras.Input((3,), name="x")
    squares = keras.layers.Lambda(square)(inputs)
    compiled = train(keras.Model(inputs, tower(squares)))
    compiled.compile("adam", "binary_crossentropy", jit_compile=True)
    report = export_saved_model(compiled, tmp_path)

    nodes, functions = definitions(report.path)
    assert {node.op for node in nodes} <= set(dir(tf.raw_ops))
    assert not [d for d in (*nodes, *functions) if any("Xla" in name for name in d.attr)]
    # Restoring the checkpoint assigns, scoring must not.
    served = {
        node.op for f in functions if "restore" not in f.signature.name for node in f.node_def
    }
    assert not [op for op in served if op.startswith("Assign")]
    with SavedModel(report.path) as saved:
        score = saved.run({"x": X})["score"]
    np.testing.assert_allclose(score, compiled(X, training=False), rtol=1e-5)
