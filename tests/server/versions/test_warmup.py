"""Warm-up requests, as TensorFlow Serving replays them before a version takes traffic."""

import logging
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tfnorm.assets import warmup_file
from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.server.versions import warmup
from tfnorm.server.versions.served import ServedModel
from tfnorm.session import Signature


def predict(x, signature=""):
    log = PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.asarray(x, np.float32)))
    return log.SerializeToString()


def example(**features):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
                for name, value in features.items()
            }
        )
    )


@pytest.fixture
def write(tmp_path):
    """Puts records beside a SavedModel that isn't there, and replays them into a list of calls."""

    def write(*records):
        file = warmup_file(tmp_path)
        file.parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(file)) as writer:
            for record in records:
                writer.write(record)
        return file

    return write


class Recorder:
    """Has the signatures of a ranker that takes vectors or records, and keeps what it is asked."""

    def __init__(self):
        made = {
            "serving_default": ("predict", "x", tf.float32, ["a", "b"]),
            "other": ("predict", "x", tf.float32, ["a"]),
            "classify": ("classify", "inputs", tf.string, ["scores"]),
            "regress": ("regress", "inputs", tf.string, ["outputs"]),
        }
        self.model = SimpleNamespace(
            signatures={
                name: Signature(
                    name,
                    f"tensorflow/serving/{method}",
                    {key: tf.TensorSpec([None], dtype)},
                    dict.fromkeys(outputs, tf.TensorSpec([None], tf.float32)),
                )
                for name, (method, key, dtype, outputs) in made.items()
            },
            signature_defs=dict.fromkeys(made, SimpleNamespace(defaults={}, inputs={}, outputs={})),
        )
        self.model.signature = self.model.signatures.__getitem__
        self.calls = []

    def run(self, feeds, *, signature, outputs=None):
        self.calls.append((feeds, signature, outputs))
        (array,) = feeds.values()
        scores = np.zeros((len(array), 1), np.float32)
        return dict.fromkeys(outputs or self.model.signatures[signature].outputs, scores)


def replayed(path):
    recorder = Recorder()
    return warmup.replay(path, recorder, 10_000), recorder.calls


def test_without_a_file_there_is_nothing_to_replay(tmp_path):
    assert replayed(tmp_path) == (0, [])


def test_predict_requests_are_run_as_they_were_made(write, tmp_path):
    filtered = PredictionLog.FromString(predict([1, 2]))
    filtered.predict_log.request.output_filter.extend(["b", "a"])
    write(predict([1, 2]), predict([3], "other"), filtered.SerializeToString())
    count, calls = replayed(tmp_path)
    assert count == 3
    assert [feeds["x"].tolist() for feeds, _, _ in calls] == [[1, 2], [3], [1, 2]]
    assert [options for _, *options in calls] == [
        ["serving_default", None],
        ["other", None],
        ["serving_default", ["a", "b"]],
    ]


def test_classify_regress_and_multi_inference_requests_are_run_on_serialized_examples(
    write, tmp_path
):
    classify, regress, several, with_context = (PredictionLog() for _ in range(4))
    classify.classify_log.request.model_spec.signature_name = "classify"
    classify.classify_log.request.input.example_list.examples.append(example(x=1.0))
    regress.regress_log.request.model_spec.signature_name = "regress"
    regress.regress_log.request.input.example_list.examples.append(example(x=2.0))
    for name in ("classify", "regress"):
        task = several.multi_inference_log.request.tasks.add()
        task.model_spec.name = "ranker"
        task.model_spec.signature_name = name
        task.method_name = f"tensorflow/serving/{name}"
    several.multi_inference_log.request.input.example_list.examples.append(example(x=3.0))
    with_context.classify_log.request.model_spec.signature_name = "classify"
    shared = with_context.classify_log.request.input.example_list_with_context
    shared.context.CopyFrom(example(user=7.0))
    shared.examples.append(example(x=4.0))
    write(*(log.SerializeToString() for log in (classify, regress, several, with_context)))
    _, calls = replayed(tmp_path)
    assert [signature for _, signature, _ in calls] == [
        "classify",
        "regress",
        "classify",
        "regress",
        "classify",
    ]
    found = [tf.train.Example.FromString(feeds["inputs"][0]) for feeds, _, _ in calls]
    assert found == [
        example(x=1.0),
        example(x=2.0),
        example(x=3.0),
        example(x=3.0),
        example(x=4.0, user=7.0),
    ]


def test_a_record_of_nothing_runs_nothing(write, tmp_path):
    write(PredictionLog().SerializeToString())
    assert replayed(tmp_path) == (1, [])


def test_a_thousand_records_are_replayed_and_one_more_is_an_error(write, tmp_path):
    empty = PredictionLog().SerializeToString()
    write(*[empty] * 1000)
    assert replayed(tmp_path)[0] == 1000
    write(*[empty] * 1001)
    with pytest.raises(InputError, match=r"record 1001: .* exceeds the maximum \(1000\)"):
        replayed(tmp_path)


def test_what_can_not_be_replayed_is_an_error_that_names_the_record(write, tmp_path):
    session, nothing = PredictionLog(), PredictionLog()
    session.session_run_log.SetInParent()
    nothing.regress_log.request.model_spec.signature_name = "regress"
    for record, reason in (
        (b"\xff", "it is no PredictionLog|Error parsing"),
        (session.SerializeToString(), "Unsupported log_type for warmup: session_run_log"),
        (nothing.SerializeToString(), "Input is empty"),
    ):
        write(predict([1]), record)
        with pytest.raises(InputError, match=f"record 2: .*({reason})") as caught:
            replayed(tmp_path)
        assert caught.value.__cause__.error_code == tf.errors.INVALID_ARGUMENT


def test_a_file_that_is_no_tfrecord_is_an_error(write, tmp_path):
    file = write(predict([1]))
    whole = file.read_bytes()
    for damaged in (whole + b"half a record", whole + whole[:-1], whole + whole[:-1] + b"\0"):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"damaged after record 1: .*verify your warmup data"):
            replayed(tmp_path)


def test_a_record_that_would_take_more_than_a_request_may_is_refused_before_it_is_read(
    write, tmp_path
):
    many = PredictionLog.FromString(predict([1]))
    many.predict_log.request.inputs["x"].tensor_shape.dim[0].size = 2**40
    write(predict([1]), many.SerializeToString())
    with pytest.raises(InputError, match=r"record 2: .*1099511627776.*; accepted: up to 10,000"):
        replayed(tmp_path)
    write(predict([1]), predict(np.zeros(3_000)))
    with pytest.raises(
        InputError, match=r"after record 1: the next is said to have 12,0\d\d bytes"
    ):
        replayed(tmp_path)


def test_a_record_that_would_grow_is_refused_before_it_is_parsed(write, tmp_path):
    many = PredictionLog()
    dimensions = many.predict_log.request.inputs["x"].tensor_shape.dim
    for _ in range(4_000):
        dimensions.add()
    write(predict([1]), many.SerializeToString())
    with pytest.raises(InputError, match=r"record 2: .* over 40,000 bytes once it is parsed"):
        replayed(tmp_path)


def test_an_export_is_warmed_up_by_its_own_requests_on_every_signature(tmp_path, caplog):
    model = keras.Sequential([keras.Input((2,), name="x"), keras.layers.Dense(1, "sigmoid")])
    export_saved_model(
        model,
        tmp_path,
        examples={"x": np.ones((3, 2), np.float32)},
        signatures=["tf_example", "classify", "regress"],
        warmup_batch_sizes=[1, 8],
    )
    with caplog.at_level(logging.INFO, "tfnorm.server"):
        ServedModel("ranker", tmp_path).close()
    assert "replayed 8 warm-up records" in caplog.text


def test_a_version_is_available_only_after_its_warm_up(constants, tmp_path, monkeypatch):
    shutil.copytree(constants[1], tmp_path / "1")
    seen = []

    def replay(path, runner, max_bytes):
        seen.append(runner.run({"x": np.ones(2, np.float32)}, signature="serving_default"))

    monkeypatch.setattr(warmup, "replay", replay)
    monkeypatch.setattr(ServedModel, "is_available", lambda self, number: False)
    monkeypatch.setattr(ServedModel, "_serve", lambda self, loaded: seen.append("available"))
    with pytest.raises(InputError):
        ServedModel("ranker", tmp_path)
    warm, available = seen
    assert warm["score"].tolist() == [1, 1]
    assert available == "available"


def test_a_version_that_fails_its_warm_up_leaves_the_one_before_it(
    constants, write, tmp_path, eventually
):
    base = tmp_path / "versions"
    shutil.copytree(constants[1], base / "1")
    model = ServedModel("ranker", base, poll_seconds=0.02)
    try:
        bad = write(predict([1], "nonesuch"))
        shutil.copytree(constants[2], tmp_path / "unfinished")
        shutil.copytree(bad.parent, tmp_path / "unfinished" / bad.parent.name)
        (tmp_path / "unfinished").rename(base / "2")
        eventually(lambda: len(model.statuses()) == 2)
        eventually(lambda: model.statuses()[2].status.error_code)
        status = model.statuses()[2].status
        assert status.error_code == tf.errors.INVALID_ARGUMENT
        assert "'nonesuch' not found" in status.error_message
        with model.version() as loaded:
            assert loaded.number == 1
    finally:
        model.close()
