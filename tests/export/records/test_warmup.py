import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from export.randomized import give_weights
from tensorflow_serving.apis import prediction_log_pb2

from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.session import SavedModel

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
WORDS = np.array(["a", "é", "", "b", "c", "d"])


@pytest.fixture(scope="module")
def model():
    x, word = keras.Input((3,), name="x"), keras.Input((), name="word", dtype="string")
    known = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(word)
    score = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Concatenate()([x, known]))
    made = keras.Model([x, word], score)
    give_weights([made], np.random.default_rng(1))
    return made


def logs(path):
    file = path / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        yield prediction_log_pb2.PredictionLog.FromString(record)


def test_requests_of_each_size_are_the_examples_in_turn(model, tmp_path):
    report = export_saved_model(
        model, tmp_path, examples={"x": X, "word": WORDS}, warmup_batch_sizes=[1, 4, 8]
    )
    sizes = []
    with SavedModel(report.path) as saved:
        for log in logs(report.path):
            request = log.predict_log.request
            assert request.model_spec.signature_name == "serving_default"
            feeds = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
            sizes.append(len(saved.run(feeds)["score"]))
            np.testing.assert_array_equal(feeds["x"], np.concatenate([X, X])[: sizes[-1]])
            assert feeds["word"][0] == b"a"
    assert sizes == [1, 4, 8]


def test_every_signature_gets_requests_of_its_own_kind(model, tmp_path):
    report = export_saved_model(
        model,
        tmp_path,
        examples={"x": X, "word": WORDS},
        signatures=["tf_example", "classify", "regress"],
        warmup_batch_sizes=(2,),
    )
    predict, parsed, classify, regress = logs(report.path)
    assert predict.predict_log.request.model_spec.signature_name == "serving_default"
    with SavedModel(report.path) as saved:
        records = tf.make_ndarray(parsed.predict_log.request.inputs["examples"])
        score = saved.run({"examples": records}, signature="tf_example")["score"]
        for name, log in (("classify", classify.classify_log), ("regress", regress.regress_log)):
            assert log.request.model_spec.signature_name == name
            examples = log.request.input.example_list.examples
            assert [example.SerializeToString() for example in examples] == records.tolist()
            saved.run({"inputs": records}, signature=name)
    np.testing.assert_allclose(
        score, model([tf.constant(X[:2]), tf.constant(WORDS[:2])]), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup_batch_sizes": [0]}, "warmup_batch_sizes has 0; accepted: positive ints"),
        ({"warmup_batch_sizes": [True]}, "warmup_batch_sizes has True"),
        ({"warmup_batch_sizes": [2.0]}, r"warmup_batch_sizes has 2\.0"),
        ({"warmup_batch_sizes": [1], "examples": None}, "needs examples to make requests of"),
        (
            {"warmup_batch_sizes": range(1, 1002)},
            "make 1001 requests; TensorFlow Serving takes 1000",
        ),
        (
            {"warmup_batch_sizes": range(1, 502), "signatures": ["regress"]},
            "make 1002 requests; TensorFlow Serving takes 1000",
        ),
    ],
)
def test_requests_that_can_not_be_are_refused(model, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        export_saved_model(
            model, tmp_path / "ranker", **{"examples": {"x": X, "word": WORDS}, **options}
        )
    assert not (tmp_path / "ranker").exists()


def test_a_request_that_no_message_holds_is_refused_before_it_is_made(model, tmp_path):
    with pytest.raises(InputError, match=r"has 100000000; accepted: up to \d+, where a request"):
        export_saved_model(
            model,
            tmp_path,
            examples={"x": X, "word": WORDS},
            signatures=["regress"],
            warmup_batch_sizes=[2, 100_000_000],
        )
    assert not list(tmp_path.iterdir())


def test_without_tensorflow_serving_api_the_error_says_how_to_get_it(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(InputError, match=r"pip install '\.\[serving\]'"):
        export_saved_model(
            model, tmp_path, examples={"x": X, "word": WORDS}, warmup_batch_sizes=[1]
        )
