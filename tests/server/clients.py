"""Clients of a server: `predict`, `metadata`, `status` over gRPC, `get`, `post` over REST."""

from types import SimpleNamespace

import grpc
import requests
import tensorflow as tf
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub


def client_of(server, opened, seconds=30):
    """A client of both APIs; what has to be closed after it is put into `opened`."""
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
        return predictions.Predict(request, timeout=seconds)

    def metadata(fields=("signature_def",), **spec):
        request = GetModelMetadataRequest(metadata_field=fields)
        _fill(request.model_spec, **spec)
        return predictions.GetModelMetadata(request, timeout=seconds)

    def status(**spec):
        request = GetModelStatusRequest()
        _fill(request.model_spec, **spec)
        found = models.GetModelStatus(request, timeout=seconds).model_version_status
        return {
            one.version: (ModelVersionStatus.State.Name(one.state), one.status) for one in found
        }

    def raw(method, data, service="PredictionService"):
        return channel.unary_unary(f"/tensorflow.serving.{service}/{method}")(data, timeout=seconds)

    def get(path="", **options):
        return session.get(server.rest_url + path, timeout=seconds, **options)

    def post(body, path=":predict", **options):
        kind = "data" if isinstance(body, bytes | str) else "json"
        return session.post(server.rest_url + path, timeout=seconds, **{kind: body}, **options)

    return SimpleNamespace(
        predict=predict, metadata=metadata, status=status, raw=raw, get=get, post=post
    )


def _fill(spec, name="ranker", version=None, label=None, signature=""):
    spec.name = name
    spec.signature_name = signature
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
