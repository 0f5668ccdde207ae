"""Small SavedModels, a server on them and clients for both APIs."""

import time
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from tfnorm.server import Server


class Everything(tf.Module):
    """Signatures with each kind of dtype, and with one and more inputs and outputs."""

    def __init__(self):
        self.table = tf.Variable(np.arange(30, dtype=np.float32).reshape(10, 3) / 7)
        self.weights = tf.Variable([0.5, -2.0])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def score(self, x):
        return {"score": tf.sigmoid(tf.linalg.matvec(x, self.weights))}

    def expected_score(self, x):
        return 1 / (1 + np.exp(-x.astype(np.float64) @ [0.5, -2.0]))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, "id"),
            tf.TensorSpec([None, 2], tf.float32, "x"),
        ]
    )
    def embed(self, id, x):
        rows = tf.gather(self.table, id)
        return {"sum": tf.reduce_sum(rows, 1) + tf.reduce_sum(x, 1), "embedding": rows}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def text(self, text):
        return {"text_bytes": tf.strings.join([text, "!"]), "upper": tf.strings.upper(text)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.bool, "flag"),
            tf.TensorSpec([None], tf.int8, "int8"),
            tf.TensorSpec([None], tf.uint8, "uint8"),
            tf.TensorSpec([None], tf.int32, "int32"),
            tf.TensorSpec([None], tf.int64, "int64"),
            tf.TensorSpec([None], tf.uint64, "uint64"),
            tf.TensorSpec([None], tf.float64, "float64"),
        ]
    )
    def echo(self, flag, int8, uint8, int32, int64, uint64, float64):
        return {
            "flag": tf.identity(flag),
            "int8": tf.identity(int8),
            "uint8": tf.identity(uint8),
            "int32": tf.identity(int32),
            "int64": tf.identity(int64),
            "uint64": tf.identity(uint64),
            "float64": tf.identity(float64),
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float16, "half"),
            tf.TensorSpec([None], tf.bfloat16, "brain"),
        ]
    )
    def halves(self, half, brain):
        return {"half": half + 1, "brain": brain + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def reduce(self, x):
        return {"sum": tf.reduce_sum(x), "same": tf.identity(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def to_half(self, x):
        return {"half": tf.cast(x, tf.float16)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, "steps")])
    def slow(self, steps):
        matrix = tf.eye(200)
        for _ in tf.range(steps):
            matrix = tf.matmul(matrix, matrix)
        return {"trace": tf.linalg.trace(matrix)}


class Constant(tf.Module):
    """Scores everything with one value, so that an answer tells which version gave it."""

    def __init__(self, value):
        self.value = tf.Variable(float(value))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def score(self, x):
        return {"score": tf.zeros_like(x) + self.value}


@pytest.fixture(scope="session")
def everything():
    return Everything()


@pytest.fixture(scope="session")
def everything_directory(everything, tmp_path_factory):
    directory = tmp_path_factory.mktemp("everything")
    signatures = {
        "serving_default": everything.score,
        **{
            name: getattr(everything, name)
            for name in ("embed", "text", "echo", "halves", "reduce", "to_half", "slow")
        },
    }
    tf.saved_model.save(everything, str(directory / "3"), signatures=signatures)
    return directory


@pytest.fixture(scope="session")
def constants(tmp_path_factory):
    """SavedModels to publish: index -> directory of one that scores with that value."""
    directory = tmp_path_factory.mktemp("constants")
    found = {}
    for value in range(1, 4):
        module = Constant(value)
        found[value] = directory / str(value)
        tf.saved_model.save(module, str(found[value]), signatures=module.score)
    return found


@pytest.fixture(scope="session")
def server(everything_directory):
    with Server(everything_directory, "ranker", port=0, rest_port=0) as server:
        yield server


@pytest.fixture(scope="session")
def connect():
    """Clients of a server: `predict`, `metadata`, `status` over gRPC, `get`, `post` over REST."""
    opened = []

    def connect(server):
        channel = grpc.insecure_channel(
            f"{server.host}:{server.grpc_port}", [("grpc.max_receive_message_length", -1)]
        )
        session = requests.Session()
        opened.extend([channel, session])
        predictions, models = PredictionServiceStub(channel), ModelServiceStub(channel)

        def predict(inputs, outputs=(), **spec):
            request = PredictRequest(output_filter=outputs)
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            _fill(request.model_spec, **spec)
            return predictions.Predict(request, timeout=30)

        def metadata(fields=("signature_def",), **spec):
            request = GetModelMetadataRequest(metadata_field=fields)
            _fill(request.model_spec, **spec)
            return predictions.GetModelMetadata(request, timeout=30)

        def status(**spec):
            request = GetModelStatusRequest()
            _fill(request.model_spec, **spec)
            found = models.GetModelStatus(request, timeout=30).model_version_status
            return {
                one.version: (ModelVersionStatus.State.Name(one.state), one.status) for one in found
            }

        def raw(method, data, service="PredictionService"):
            return channel.unary_unary(f"/tensorflow.serving.{service}/{method}")(data, timeout=30)

        def get(path="", **options):
            return session.get(server.rest_url + path, timeout=30, **options)

        def post(body, path=":predict", **options):
            kind = "data" if isinstance(body, bytes | str) else "json"
            return session.post(server.rest_url + path, timeout=30, **{kind: body}, **options)

        return SimpleNamespace(
            predict=predict, metadata=metadata, status=status, raw=raw, get=get, post=post
        )

    yield connect
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def client(server, connect):
    return connect(server)


@pytest.fixture(scope="session")
def eventually():
    """Waits until `condition` holds."""

    def eventually(condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    return eventually


def _fill(spec, name="ranker", version=None, label=None, signature=""):
    spec.name = name
    spec.signature_name = signature
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
