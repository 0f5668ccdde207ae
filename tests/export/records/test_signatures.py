import keras
import numpy as np
import pytest
import tensorflow as tf
from export.randomized import give_weights

from tfnorm.errors import InputError
from tfnorm.examples.records import records
from tfnorm.export import export_saved_model
from tfnorm.export.records.tf_example import parser
from tfnorm.models import DIN
from tfnorm.session import SavedModel

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype(np.float32)


def serialized(features):
    return np.array([record.SerializeToString() for record in records(features)], object)


def record(**features):
    """A record of ints, written as a client would."""
    lists = {name: tf.train.Int64List(value=values) for name, values in features.items()}
    feature = {name: tf.train.Feature(int64_list=values) for name, values in lists.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def scorer(units=1, activation="sigmoid"):
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(units, activation=activation)(inputs))
    give_weights([model], RNG)
    return model


@pytest.fixture(scope="module")
def din():
    model = DIN(item_count=50, category_count=9, attention_units=(4,), units=(6,))
    give_weights([model], np.random.default_rng(1))
    return model


@pytest.fixture(scope="module")
def histories():
    lengths = [5, 0, 3, 1]
    features = {
        "item": np.array([3, 7, 8, 49], np.int32),
        "category": np.array([1, 2, 8, 3], np.int32),
        "history_items": np.zeros((4, 5), np.int32),
        "history_categories": np.zeros((4, 5), np.int32),
    }
    for row, length in enumerate(lengths):
        features["history_items"][row, :length] = RNG.integers(1, 50, length)
        features["history_categories"][row, :length] = RNG.integers(1, 9, length)
    return features


def test_records_of_each_dtype_score_as_the_named_tensors_do(tmp_path):
    inputs = {
        "pair": keras.Input((2,), name="pair"),
        "flag": keras.Input((), name="flag", dtype="bool"),
        "id": keras.Input((1,), name="id", dtype="int32"),
        "steps": keras.Input((None, 2), name="steps"),
        "word": keras.Input((), name="word", dtype="string"),
        "user-id": keras.Input((), name="user-id", dtype="int64"),
    }
    known = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(inputs["word"])
    x = keras.layers.Concatenate()(
        [
            inputs["pair"],
            keras.ops.cast(inputs["flag"], "float32")[:, None],
            keras.layers.Flatten()(keras.layers.Embedding(9, 2)(inputs["id"])),
            keras.ops.sum(inputs["steps"], axis=1),
            known,
            keras.layers.Embedding(9, 2)(inputs["user-id"]),
        ]
    )
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    features = {
        "pair": X[:, :2],
        "flag": np.array([True, False] * 3),
        "id": np.arange(6, dtype=np.int32)[:, None],
        "steps": RNG.normal(size=(6, 4, 2)).astype(np.float32),
        "word": np.array(["a", "b", "", "a", "c", "b"]),
        "user-id": np.arange(6)[::-1].copy(),
    }
    report = export_saved_model(model, tmp_path, examples=features, signatures=["tf_example"])
    assert report.signatures == ("tf_example",)
    with SavedModel(report.path) as saved:
        assert saved.signature("tf_example").method_name == "tensorflow/serving/predict"
        kept = dict(np.load(report.path / "assets.extra" / "examples.npz"))
        got = saved.run({"examples": serialized(features)}, signature="tf_example")
        np.testing.assert_allclose(got["score"], saved.run(kept)["score"], rtol=1e-5, atol=1e-6)


def test_histories_of_any_length_score_as_padded_ones_do(din, histories, tmp_path):
    report = export_saved_model(din, tmp_path, examples=histories, signatures=["tf_example"])
    assert report.inputs["history_items"].shape.as_list() == [None, None]
    unpadded = []
    for row, length in enumerate([5, 0, 3, 1]):
        cut = {name: array[row].ravel() for name, array in histories.items()}
        for name in ("history_items", "history_categories"):
            cut[name] = cut[name][:length]
        unpadded.append(record(**cut))
    with SavedModel(report.path) as saved:
        expected = saved.run(histories)["score"]
        got = saved.run({"examples": np.array(unpadded, object)}, signature="tf_example")["score"]
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        alone = [
            saved.run({"examples": np.array([one], object)}, signature="tf_example")["score"][0]
            for one in unpadded
        ]
        np.testing.assert_allclose(alone, expected, rtol=1e-6)
        longer = {
            name: np.pad(array, ((0, 0), (0, 9))) if array.ndim > 1 else array
            for name, array in histories.items()
        }
        np.testing.assert_allclose(saved.run(longer)["score"], expected, rtol=1e-6)


def test_a_history_that_lacks_half_of_itself_is_padded_like_its_other_half(
    din, histories, tmp_path
):
    report = export_saved_model(din, tmp_path, signatures=["tf_example"])
    half = record(item=[3], category=[1], history_items=[4, 5])
    with SavedModel(report.path) as saved:
        got = saved.run({"examples": np.array([half], object)}, signature="tf_example")["score"]
        full = {"item": [3], "category": [1]}
        full |= {"history_items": [[4, 5]], "history_categories": [[0, 0]]}
        expected = saved.run({name: np.array(v, np.int32) for name, v in full.items()})["score"]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_record_without_a_feature_or_with_a_broken_one_is_refused(din, tmp_path):
    report = export_saved_model(din, tmp_path, signatures=["tf_example"])
    with SavedModel(report.path) as saved:
        for bad, reason in (
            (record(item=[3]), "category"),
            (record(item=[3, 4], category=[1]), "item"),
            (b"no record", "Could not parse"),
        ):
            with pytest.raises(InputError, match=reason):
                saved.run({"examples": np.array([bad], object)}, signature="tf_example")


def test_an_id_too_large_for_its_input_is_not_taken_for_another(din, tmp_path):
    report = export_saved_model(din, tmp_path, signatures=["tf_example"])
    with (
        SavedModel(report.path) as saved,
        pytest.raises(InputError, match="item has a value that does not fit into int32"),
    ):
        too_large = record(item=[2**32 + 3], category=[1])
        saved.run({"examples": np.array([too_large], object)}, signature="tf_example")


def test_classify_gives_classes_and_their_probabilities(tmp_path):
    model = scorer()
    report = export_saved_model(model, tmp_path, examples={"x": X}, signatures=["classify"])
    with SavedModel(report.path) as saved:
        signature = saved.signature("classify")
        assert signature.method_name == "tensorflow/serving/classify"
        assert list(signature.inputs) == ["inputs"]
        got = saved.run({"inputs": serialized({"x": X})}, signature="classify")
    assert got["classes"].tolist() == [[b"0", b"1"]] * 6
    p = keras.ops.convert_to_numpy(model(X))
    np.testing.assert_allclose(got["scores"], np.concatenate([1 - p, p], axis=1), rtol=1e-5)


def test_classify_gives_each_class_of_a_softmax(tmp_path):
    model = scorer(3, "softmax")
    report = export_saved_model(model, tmp_path, signatures=["classify"])
    with SavedModel(report.path) as saved:
        got = saved.run({"inputs": serialized({"x": X})}, signature="classify")
    assert got["classes"].tolist() == [[b"0", b"1", b"2"]] * 6
    np.testing.assert_allclose(got["scores"], model(X), rtol=1e-5)


def test_regress_gives_one_value_an_example(tmp_path):
    model = scorer(activation=None)
    report = export_saved_model(model, tmp_path, signatures=["regress"])
    with SavedModel(report.path) as saved:
        assert saved.signature("regress").method_name == "tensorflow/serving/regress"
        got = saved.run({"inputs": serialized({"x": X})}, signature="regress")
    np.testing.assert_allclose(got["outputs"], model(X)[:, 0], rtol=1e-5, atol=1e-6)


def test_features_may_be_given(tmp_path):
    inputs = keras.Input((None,), name="ids", dtype="int32")
    vectors = keras.layers.Embedding(9, 2, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(vectors))
    ids = np.array([[1, 2, 0], [3, 4, 5]], np.int32)
    for feature in (tf.io.VarLenFeature(tf.int64), tf.io.RaggedFeature(tf.int64)):
        report = export_saved_model(
            model,
            tmp_path,
            examples={"ids": ids},
            signatures=["tf_example"],
            feature_spec={"ids": feature},
        )
        with SavedModel(report.path) as saved:
            short = np.array([record(ids=[1, 2]), record(ids=[3, 4, 5])], object)
            got = saved.run({"examples": short}, signature="tf_example")["score"]
        np.testing.assert_allclose(got, model(ids), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signatures": "classify"}, "signatures is 'classify'; accepted: any of"),
        ({"signatures": ["predict"]}, r"signatures is \['predict'\]"),
        ({"feature_spec": {"x": tf.io.VarLenFeature(tf.float32)}}, "no signature takes them"),
        (
            {
                "signatures": ["tf_example"],
                "feature_spec": {"y": tf.io.FixedLenFeature([], tf.int64)},
            },
            "feature_spec has 'y'; the model takes 'x'",
        ),
        (
            {"signatures": ["tf_example"], "feature_spec": {"x": tf.float32}},
            "feature_spec has a DType for 'x'",
        ),
        (
            {
                "signatures": ["tf_example"],
                "feature_spec": {"x": tf.io.FixedLenFeature([5], tf.float32)},
            },
            "feature_spec does not give the inputs",
        ),
    ],
)
def test_signatures_that_can_not_be_are_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        export_saved_model(scorer(), tmp_path / "ranker", **options)
    assert not (tmp_path / "ranker").exists()


def test_classify_and_regress_refuse_outputs_that_are_not_theirs(tmp_path):
    with pytest.raises(
        InputError, match=r"classify gives probabilities, and scores .* go from 0 to"
    ):
        export_saved_model(scorer(activation="relu6"), tmp_path, signatures=["classify"])
    with pytest.raises(InputError, match=r"regress gives one value an example"):
        export_saved_model(scorer(3), tmp_path, signatures=["regress"])
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, {"a": keras.layers.Dense(1)(inputs), "b": inputs})
    with pytest.raises(InputError, match="regress takes one output; the model has a, b"):
        export_saved_model(model, tmp_path, signatures=["regress"])


def test_a_model_that_reads_its_padding_is_refused_the_signature(tmp_path):
    inputs = keras.Input((None,), name="ids", dtype="int32")
    vectors = keras.layers.Embedding(9, 2)(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(vectors))
    give_weights([model], RNG)
    with pytest.raises(InputError, match=r"more padding of 'ids' moves a score by"):
        export_saved_model(model, tmp_path, signatures=["tf_example"])
    assert export_saved_model(model, tmp_path).version == 1


def test_an_input_that_a_record_can_not_hold_is_refused():
    spec = tf.TensorSpec((None, 4, None), tf.float32, "x")
    with pytest.raises(InputError, match=r"which a tf.Example can't hold"):
        parser({"x": spec}, None)
