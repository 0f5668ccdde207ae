import gzip
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from written_examples import (
    EXAMPLES,
    LOGGED,
    ONE,
    SCORER,
    SERIALIZED,
    assert_rows,
    example,
    predict,
    write_records,
)

from tfnorm.errors import InputError
from tfnorm.examples.load import load
from tfnorm.examples.stream import Stream


@pytest.mark.parametrize("options", [None, "GZIP"])
def test_tf_examples_are_read_feature_by_feature(tmp_path, options):
    assert_rows(load(write_records(tmp_path / "a.tfrecord", EXAMPLES, options), SCORER).rows)


def test_tf_examples_go_as_they_are_to_a_signature_that_parses_them(tmp_path):
    loaded = load(write_records(tmp_path / "a.tfrecord", EXAMPLES), SERIALIZED)
    assert loaded.rows["examples"].tolist() == EXAMPLES


def test_logged_requests_are_read_with_the_batches_they_were(tmp_path):
    loaded = load(write_records(tmp_path / "log", map(predict, LOGGED)), SCORER)
    assert_rows(loaded.rows)
    assert loaded.requests == [1, 2]


def test_of_a_long_log_whole_requests_are_kept_and_what_is_left_out_is_told(tmp_path):
    sizes = [3, 1, 4, 1, 5, 9, 2, 6] * 5
    logs = [predict({"x": np.full((size, 2), n, np.float32)}) for n, size in enumerate(sizes)]
    loaded = load(write_records(tmp_path / "log", logs), ONE, limit=30)
    assert loaded.given == sum(sizes)
    assert 15 < sum(loaded.requests) == len(loaded.rows["x"]) <= 30
    ends = np.cumsum(loaded.requests)[:-1]
    for rows in np.split(loaded.rows["x"][:, 0], ends):
        assert len(rows) == sizes[int(rows[0])] and len(set(rows)) == 1
    (what,) = loaded.left_out
    assert what == f"{40 - len(loaded.requests)} of 40 logged requests"
    assert load(tmp_path / "log", ONE).left_out == {}


def test_answers_in_a_log_are_told_with_the_command_that_looks_at_them(tmp_path):
    log = PredictionLog.FromString(predict({"x": np.ones((2, 2), np.float32)}))
    log.predict_log.response.outputs["score"].CopyFrom(tf.make_tensor_proto([0.5, 0.5]))
    path = write_records(tmp_path / "log", [log.SerializeToString(), predict(LOGGED[1])][:1])
    ((what, why),) = load(path, ONE).left_out.items()
    assert what == "the answers to 1 logged requests"
    assert why.endswith(f"tfnorm replay {path} 'a model'")


def asking(signature):
    """A scorer of a signature."""
    return SimpleNamespace(**{**vars(ONE), "signature": signature})


def request(number, signature=""):
    log = PredictionLog.FromString(predict({"x": np.full((2, 2), number, np.float32)}))
    log.predict_log.request.model_spec.signature_name = signature
    return log.SerializeToString()


def test_requests_that_are_none_of_the_signatures_are_skipped_and_listed(tmp_path):
    session = PredictionLog()
    session.session_run_log.request.target.append("x")
    other = PredictionLog()
    other.regress_log.request.model_spec.signature_name = "regress"
    other.regress_log.request.input.example_list.examples.add()
    records = [request(0), session, request(1, "serving_default"), other, request(2, "more")]
    records = [r if isinstance(r, bytes) else r.SerializeToString() for r in records]
    path = write_records(tmp_path / "log", records)
    loaded = load(path, asking("serving_default"))
    assert loaded.rows["x"][:, 0].tolist() == [0, 0, 1, 1] and loaded.requests == [2, 2]
    assert list(loaded.left_out) == [
        "1 logged request of the kind 'session_run_log'",
        "1 logged request of signature 'regress'",
        "1 logged request of signature 'more'",
    ]
    assert "--signature" in loaded.left_out["1 logged request of signature 'more'"]
    assert load(path, asking("more")).rows["x"][:, 0].tolist() == [2, 2]
    blocks = [block["x"][:, 0].tolist() for block in Stream(path, asking("serving_default"))]
    assert blocks == [[0, 0, 1, 1]]


def test_requests_are_taken_for_the_signatures_where_none_asked_it(tmp_path):
    path = write_records(tmp_path / "log", [request(0, "a"), request(1, "b")])
    loaded = load(path, asking("serving_default"))
    assert loaded.requests == [2, 2] and not loaded.left_out


def test_a_log_of_nothing_that_can_be_replayed_says_why(tmp_path):
    session = PredictionLog()
    session.session_run_log.request.target.append("x")
    path = write_records(tmp_path / "log", [session.SerializeToString()] * 2)
    with pytest.raises(
        InputError, match=r"none of its requests can be replayed \(2 of the kind 'ses"
    ):
        load(path, ONE)


def test_a_log_of_classify_requests_has_examples(tmp_path):
    log = PredictionLog()
    for record in EXAMPLES:
        log.classify_log.request.input.example_list.examples.append(
            tf.train.Example.FromString(record)
        )
    path = write_records(tmp_path / "log", [log.SerializeToString()])
    assert len(load(path, SERIALIZED).rows["examples"]) == 3
    assert_rows(load(path, SCORER).rows)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([b"\xff\xff"], "a record is no tf.Example"),
        ([example(x=[1.0])] * 2, r"feature 'x' has 1 values; accepted: \[2\]"),
        ([example(y=[1.0])] * 2, "lack: 'x'"),
        ([predict({"x": np.float32(1)})], "not as many rows of each input: x"),
        ([predict({"x": np.ones((2, 2), np.float32)}), EXAMPLES[0]], "record 1 is no Predic"),
        ([], "holds no examples"),
    ],
)
def test_records_that_are_no_examples_are_refused(tmp_path, records, message):
    with pytest.raises(InputError, match=message):
        load(write_records(tmp_path / "a.tfrecord", records), ONE)


def test_damaged_records_are_refused_by_the_files_name(tmp_path):
    path = write_records(tmp_path / "a.tfrecord", EXAMPLES)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"a\.tfrecord: record 2 is damaged: \w+ record at \d+$"):
        load(path, SCORER)
    (tmp_path / "b.tfrecord").write_bytes(gzip.compress(b"not records"))
    with pytest.raises(InputError, match=r"b\.tfrecord: it holds no examples"):
        load(tmp_path / "b.tfrecord", SCORER)
