import base64
import gzip
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tfnorm.errors import InputError
from tfnorm.examples.files import read_file
from tfnorm.examples.load import load

INPUTS = {
    "x": tf.TensorSpec([None, 2], tf.float32, "x"),
    "history": tf.TensorSpec([None, None], tf.int64, "history"),
    "word": tf.TensorSpec([None], tf.string, "word"),
}
SCORER = SimpleNamespace(name="a model", inputs=INPUTS)
ONE = SimpleNamespace(name="a model", inputs={"x": INPUTS["x"]})
SERIALIZED = SimpleNamespace(
    name="a model", inputs={"examples": tf.TensorSpec([None], tf.string, "examples")}
)
ROWS = [
    {"x": [0.5, 1], "history": [3, 1, 2], "word": "né"},
    {"x": [2, 3.25], "history": [7], "word": {"b64": base64.b64encode(b"\xff").decode()}},
    {"x": [-1, float("nan")], "history": [], "word": ""},
]


def _assert_rows(rows):
    np.testing.assert_array_equal(
        rows["x"], np.float32([[0.5, 1], [2, 3.25], [-1, np.nan]]), strict=True
    )
    np.testing.assert_array_equal(rows["history"], [[3, 1, 2], [7, 0, 0], [0, 0, 0]])
    assert rows["history"].dtype == np.int64
    assert rows["word"].tolist() == ["né".encode(), b"\xff", b""]


def _write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_an_instance_a_line_is_read(tmp_path):
    loaded = load(_write(tmp_path / "rows.jsonl", *map(json.dumps, ROWS)), SCORER)
    _assert_rows(loaded.rows)
    assert (loaded.given, loaded.requests, loaded.labels) == (3, [], None)


def test_requests_of_tensorflow_serving_are_read_and_told_apart(tmp_path):
    columns = {name: [row[name] for row in ROWS[:1]] for name in INPUTS}
    lines = [json.dumps({"inputs": columns}), json.dumps({"instances": ROWS[1:]})]
    loaded = load(_write(tmp_path / "requests.jsonl", *lines), SCORER)
    _assert_rows(loaded.rows)
    assert loaded.requests == [1, 2]


def test_a_request_over_many_lines_and_a_list_of_instances_are_read(tmp_path):
    request = _write(tmp_path / "request.json", json.dumps({"instances": ROWS}, indent=2))
    _assert_rows(load(request, SCORER).rows)
    _assert_rows(load(_write(tmp_path / "any name", json.dumps(ROWS)), SCORER).rows)


def test_a_value_a_line_is_enough_for_a_model_of_one_input(tmp_path):
    loaded = load(_write(tmp_path / "x.jsonl", "[1, 2]", "[3, 4]", ""), ONE)
    assert loaded.rows["x"].tolist() == [[1, 2], [3, 4]]


def test_labels_come_along(tmp_path):
    lines = [json.dumps({"x": [1, 2], "labels": i}) for i in (0, 1, 1)]
    assert load(_write(tmp_path / "x.jsonl", *lines), ONE).labels.tolist() == [0, 1, 1]
    np.savez(tmp_path / "x.npz", x=np.ones((2, 2)), labels=[0, 1])
    assert load(tmp_path / "x.npz", ONE).labels.tolist() == [0, 1]
    records = [_example(x=[1.0, 2.0], labels=[i]) for i in (0, 1)]
    assert load(_records(tmp_path / "x.tfrecord", records), ONE).labels.tolist() == [0, 1]
    spec = {"labels": tf.TensorSpec([None], tf.int64, "labels")}
    scorer = SimpleNamespace(name="a model", inputs=spec)
    loaded = load({"labels": np.arange(3)}, scorer)
    assert loaded.labels is None and loaded.rows["labels"].tolist() == [0, 1, 2]


def _example(**features):
    example = tf.train.Example()
    for name, values in features.items():
        feature = example.features.feature[name]
        if isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return example.SerializeToString()


def _records(path, records, options=None):
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)
    return path


EXAMPLES = [
    _example(x=[0.5, 1.0], history=[3, 1, 2], word=["né".encode()], other=[1]),
    _example(x=[2.0, 3.25], history=[7], word=[b"\xff"]),
    _example(x=[-1.0, float("nan")], word=[b""]),
]


@pytest.mark.parametrize("options", [None, "GZIP"])
def test_tf_examples_are_read_feature_by_feature(tmp_path, options):
    _assert_rows(load(_records(tmp_path / "a.tfrecord", EXAMPLES, options), SCORER).rows)


def test_tf_examples_go_as_they_are_to_a_signature_that_parses_them(tmp_path):
    loaded = load(_records(tmp_path / "a.tfrecord", EXAMPLES), SERIALIZED)
    assert loaded.rows["examples"].tolist() == EXAMPLES


def _predict(rows):
    log = PredictionLog()
    request = log.predict_log.request
    for name, array in rows.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return log.SerializeToString()


LOGGED = [
    {"x": np.float32([[0.5, 1]]), "history": np.array([[3, 1, 2]]), "word": ["né".encode()]},
    {
        "x": np.float32([[2, 3.25], [-1, np.nan]]),
        "history": np.array([[7], [0]]),
        "word": [b"\xff", b""],
    },
]


def test_logged_requests_are_read_with_the_batches_they_were(tmp_path):
    loaded = load(_records(tmp_path / "log", map(_predict, LOGGED)), SCORER)
    _assert_rows(loaded.rows)
    assert loaded.requests == [1, 2]


def test_a_log_of_classify_requests_has_examples(tmp_path):
    log = PredictionLog()
    for record in EXAMPLES:
        log.classify_log.request.input.example_list.examples.append(
            tf.train.Example.FromString(record)
        )
    path = _records(tmp_path / "log", [log.SerializeToString()])
    assert len(load(path, SERIALIZED).rows["examples"]) == 3
    _assert_rows(load(path, SCORER).rows)


@pytest.mark.parametrize("limit", [2, 10, 999])
def test_of_a_large_file_some_rows_evenly_spread_are_kept(tmp_path, limit):
    count = 1000
    x = np.stack([np.arange(count), np.arange(count)], axis=1)
    np.savez(tmp_path / "x.npz", x=x.astype(np.float32))
    _write(tmp_path / "x.jsonl", *map(str, x.tolist()))
    _records(tmp_path / "x.tfrecord", [_example(x=list(map(float, row))) for row in x])
    _records(
        tmp_path / "log",
        [_predict({"x": np.float32(x[i : i + 100])}) for i in range(0, count, 100)],
    )
    for name in ("x.npz", "x.jsonl", "x.tfrecord", "log"):
        loaded = load(tmp_path / name, ONE, limit)
        rows = loaded.rows["x"][:, 0]
        assert (len(rows), loaded.given, loaded.requests) == (limit, count, [])
        steps = np.diff(rows)
        assert steps.min() > 0 and steps.max() <= 2 * count / limit
        assert rows[0] == 0 and rows[-1] >= count * 0.45


def test_an_array_larger_than_what_is_read_at_a_time_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("tfnorm.examples.files._BLOCK_BYTES", 100)
    x = np.random.default_rng(0).normal(size=(333, 2)).astype(np.float32)
    for name, array in {"rows": x, "columns": np.asfortranarray(x)}.items():
        np.savez_compressed(tmp_path / f"{name}.npz", x=array)
        for limit in (None, 7, 332):
            table = read_file(tmp_path / f"{name}.npz", INPUTS, limit)
            kept = np.linspace(0, 332, limit or 333).astype(int)
            np.testing.assert_array_equal(table.arrays["x"], x[kept], strict=True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{", "}{"], "can't be read"),
        (['{"x": [1, 2]}', "no"], "line 2 is no JSON"),
        (['{"x": [1, 2]}', '{"y": 3}'], "example 0 lacks 'y'"),
        (['{"x": [1, 2]}', '{"x": [1, 2, 3]}'], "'x' has values of different lengths, up to 3"),
        (['{"x": [1, 2]}', '{"x": 1}'], "'x' has values of 0 and 1 axes"),
        (['{"x": {"a": 1}}'], "line 1: 'x' is no tensor: an object with 'a'"),
        (['{"x": [[1], [1, 2]]}'], "line 1: 'x' is no tensor"),
        (['{"x": {"b64": "*"}}'], "line 1: 'x' is no tensor"),
        (['{"x": [1, 2]}', '{"x": [1, null]}'], "'x'"),
        (["[1, 2]"], "1 examples; accepted: 2 or more"),
    ],
)
def test_lines_that_are_no_examples_are_refused_by_number(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        load(_write(tmp_path / "x.jsonl", *lines), ONE)


def test_a_whole_number_does_for_a_float_but_not_the_other_way_round(tmp_path):
    scorer = SimpleNamespace(name="m", inputs={"id": tf.TensorSpec([None], tf.int32, "id")})
    assert load(_write(tmp_path / "a.jsonl", "1", "2"), scorer).rows["id"].dtype == np.int32
    with pytest.raises(InputError, match="'id' has dtype float64"):
        load(_write(tmp_path / "b.jsonl", "1.5", "2"), scorer)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([b"\xff\xff"], "a record is no tf.Example"),
        ([_example(x=[1.0])] * 2, r"feature 'x' has 1 values; accepted: \[2\]"),
        ([_example(y=[1.0])] * 2, "lack: 'x'"),
        ([_predict({"x": np.float32(1)})], "not as many rows of each input: x"),
        ([_predict({"x": np.ones((2, 2), np.float32)}), EXAMPLES[0]], "record 1 is no Predic"),
        ([], "holds no examples"),
    ],
)
def test_records_that_are_no_examples_are_refused(tmp_path, records, message):
    with pytest.raises(InputError, match=message):
        load(_records(tmp_path / "a.tfrecord", records), ONE)


def test_damaged_records_are_refused_by_the_files_name(tmp_path):
    path = _records(tmp_path / "a.tfrecord", EXAMPLES)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"a\.tfrecord can't be read"):
        load(path, SCORER)
    (tmp_path / "b.tfrecord").write_bytes(gzip.compress(b"not records"))
    with pytest.raises(InputError, match=r"b\.tfrecord: it holds no examples"):
        load(tmp_path / "b.tfrecord", SCORER)
