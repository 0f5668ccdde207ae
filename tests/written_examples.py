"""The same three examples in each format, and the means to write them."""

import base64
from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

INPUTS = {
    "x": tf.TensorSpec([None, 2], tf.float32, "x"),
    "history": tf.TensorSpec([None, None], tf.int64, "history"),
    "word": tf.TensorSpec([None], tf.string, "word"),
}


SCORER = SimpleNamespace(
    name="a model", constants={}, places={}, signature=None, defaults={}, inputs=INPUTS
)


ONE = SimpleNamespace(
    name="a model", constants={}, places={}, signature=None, defaults={}, inputs={"x": INPUTS["x"]}
)


SERIALIZED = SimpleNamespace(
    name="a model",
    constants={},
    places={},
    signature=None,
    defaults={},
    inputs={"examples": tf.TensorSpec([None], tf.string, "examples")},
)


ROWS = [
    {"x": [0.5, 1], "history": [3, 1, 2], "word": "né"},
    {"x": [2, 3.25], "history": [7], "word": {"b64": base64.b64encode(b"\xff").decode()}},
    {"x": [-1, float("nan")], "history": [], "word": ""},
]


def assert_rows(rows):
    np.testing.assert_array_equal(
        rows["x"], np.float32([[0.5, 1], [2, 3.25], [-1, np.nan]]), strict=True
    )
    np.testing.assert_array_equal(rows["history"], [[3, 1, 2], [7, 0, 0], [0, 0, 0]])
    assert rows["history"].dtype == np.int64
    assert rows["word"].tolist() == ["né".encode(), b"\xff", b""]


def write_lines(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def example(**features):
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


def write_records(path, records, options=None):
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)
    return path


EXAMPLES = [
    example(x=[0.5, 1.0], history=[3, 1, 2], word=["né".encode()], other=[1]),
    example(x=[2.0, 3.25], history=[7], word=[b"\xff"]),
    example(x=[-1.0, float("nan")], word=[b""]),
]


def predict(rows):
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
