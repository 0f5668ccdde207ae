import numpy as np
import pytest
import tensorflow as tf
from replay.traffic import predicted, write
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from written_examples import EXAMPLES

from tfnorm.errors import InputError
from tfnorm.replay.log.call import Call, ModelSpec, Passed
from tfnorm.replay.log.files import open_log

INPUTS = {"x": np.float32([[1, 2], [3, 4]]), "labels": np.int64([1, 0])}


def calls(path):
    log = open_log(path, None, labels="labels")
    return [log.call(number, entry) for number, entry in log.entries()]


def of_examples(kind):
    log = PredictionLog()
    logged = getattr(log, kind)
    for record in EXAMPLES[:2]:
        logged.request.input.example_list.examples.add().ParseFromString(record)
    logged.request.model_spec.signature_name = "rank"
    return log, logged


def test_a_request_to_predict_has_its_arrays_and_who_answered(tmp_path):
    logs = [predicted(INPUTS, {"score": np.float32([0.5, 0.25])}, version=7, signature="rank")]
    for options in (None, tf.io.TFRecordOptions("GZIP")):
        (call,) = calls(write(tmp_path / "log", logs, options))
        assert (call.number, call.spec) == (0, ModelSpec("ranker", 7, "rank"))
        np.testing.assert_array_equal(call.inputs["x"], INPUTS["x"])
        np.testing.assert_array_equal(call.labels, [1, 0])
        assert call.outputs["score"].tolist() == [0.5, 0.25]


def test_a_regression_has_a_number_for_each_example(tmp_path):
    log, logged = of_examples("regress_log")
    for value in (0.5, 0.25):
        logged.response.result.regressions.add().value = value
    (call,) = calls(write(tmp_path / "log", [log]))
    assert call.outputs["outputs"].tolist() == [0.5, 0.25]
    # The features of one have no order.
    found, wanted = (map(tf.train.Example.FromString, r) for r in (call.records, EXAMPLES[:2]))
    assert list(found) == list(wanted) and call.spec.signature == "rank"


def test_a_classification_has_scores_and_classes(tmp_path):
    log, logged = of_examples("classify_log")
    for value in (0.5, 0.25):
        found = logged.response.result.classifications.add()
        for label, score in (("0", 1 - value), ("1", value)):
            found.classes.add(label=label, score=score)
    (call,) = calls(write(tmp_path / "log", [log]))
    assert call.outputs["scores"].tolist() == [[0.5, 0.5], [0.75, 0.25]]
    assert call.outputs["classes"].tolist() == [[b"0", b"1"]] * 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("multi_inference_log", "a multi-inference"),
        ("session_run_log", "a run of the session"),
        ("predict_log", "a request without an answer"),
        ("regress_log", "a request without an answer"),
    ],
)
def test_what_has_nothing_to_compare_is_passed_over(kind, reason, tmp_path):
    log = PredictionLog()
    getattr(log, kind).request.SetInParent()
    (found,) = calls(write(tmp_path / "log", [log]))
    assert isinstance(found, Passed) and found.reason.startswith(reason)


def test_a_record_that_is_no_log_is_named(tmp_path):
    logs = [predicted(INPUTS, {"score": np.float32([0, 0])}), b"\xff\xff"]
    path = write(tmp_path / "log", logs)
    with pytest.raises(InputError, match=f"{path}: record 1 is no PredictionLog"):
        calls(path)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_record_is_named_after_those_before_it(damage, tmp_path):
    path = write(
        tmp_path / "log", [predicted(INPUTS, {"score": np.float32([i, 0])}) for i in range(5)]
    )
    content = bytearray(path.read_bytes())
    size = len(content) // 5
    if damage == "cut":
        content = content[: 3 * size + 20]
    else:
        content[3 * size + 40] ^= 255
    path.write_bytes(content)
    log = open_log(path, None, labels="labels")
    seen = []
    with pytest.raises(InputError, match=f"^{path}: record 3 is damaged: ") as refused:
        for number, entry in log.entries():
            seen.append(log.call(number, entry))
    assert len(seen) == 3 and all(isinstance(call, Call) for call in seen)
    assert "\n" not in str(refused.value)


def test_a_tensor_that_is_none_is_named(tmp_path):
    log = predicted(INPUTS, {"score": np.float32([0, 0])})
    log.predict_log.request.inputs["x"].tensor_shape.dim[0].size = 99_000_000
    log.predict_log.request.inputs["x"].tensor_content = b"1234"
    with pytest.raises(InputError, match="record 0: input 'x' is a TensorProto"):
        calls(write(tmp_path / "log", [log]))
