"""The gRPC rows of the table, over a real server, with batching and without."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import Message
from server.conformance import grpc_calls
from server.conformance.table import SAME
from tensorflow_serving.apis.classification_pb2 import ClassificationResponse
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataResponse
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusResponse,
    ModelVersionStatus,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceResponse
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensorflow_serving.apis.regression_pb2 import RegressionResponse

OF_MODELS = ("GetModelStatus", "HandleReloadConfigRequest")
OF_SESSIONS = ("SessionRun",)


def classified(result):
    return [[(one.label, one.score) for one in row.classes] for row in result.classifications]


def regressed(result):
    return [one.value for one in result.regressions]


def several(response):
    return [
        classified(result.classification_result)
        if result.HasField("classification_result")
        else regressed(result.regression_result)
        for result in response.results
    ]


READERS = {
    "Predict": (
        PredictResponse,
        lambda found: {name: tf.make_ndarray(proto) for name, proto in found.outputs.items()},
    ),
    "Classify": (ClassificationResponse, lambda found: classified(found.result)),
    "Regress": (RegressionResponse, lambda found: regressed(found.result)),
    "MultiInference": (MultiInferenceResponse, several),
    "GetModelMetadata": (GetModelMetadataResponse, lambda found: found),
    "GetModelStatus": (
        GetModelStatusResponse,
        lambda found: {
            one.version: ModelVersionStatus.State.Name(one.state)
            for one in found.model_version_status
        },
    ),
}


def shortened(case):
    method, message = case.ask
    return f"{method} {' '.join(str(message).split())[:60]}".replace("[", "(").replace("]", ")")


@pytest.mark.parametrize("case", grpc_calls.CASES, ids=shortened)
def test_call(case, batching, rpc):
    method, message = case.ask
    expected = case.expected(batching)
    data = message.SerializeToString() if isinstance(message, Message) else message
    service = "ModelService" if method in OF_MODELS else "PredictionService"
    service = "SessionService" if method in OF_SESSIONS else service
    if isinstance(expected, str) and expected != "OK":
        with pytest.raises(grpc.RpcError) as caught:
            rpc(method, data, service)
        assert caught.value.code().name == expected, caught.value.details()
        assert caught.value.details()
        return
    message_type, read = READERS[method]
    found = read(message_type.FromString(rpc(method, data, service)))
    if expected == "OK":
        return
    if method == "Predict":
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            array = np.asarray(found[name].tolist(), found[name].dtype)
            np.testing.assert_array_equal(array, np.asarray(value, array.dtype))
    else:
        assert found == expected


def test_what_differs_is_marked_and_nothing_else_is():
    for case in grpc_calls.CASES:
        assert (case.here is not SAME) == bool(case.why), case
        assert case.source
