"""The gRPC services against NumPy and TensorFlow's own reading of tensor protos."""

import logging
import resource

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
)
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest, MultiInferenceResponse
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from tfnorm.server import Server


def arrays(response):
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


def refusal(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value.code(), caught.value.details()


def test_predict_scores_each_example(client, everything):
    x = np.random.default_rng(0).normal(size=(17, 2)).astype(np.float32)
    score = arrays(client.predict({"x": x}))["score"]
    np.testing.assert_allclose(score, everything.expected_score(x), rtol=1e-6)


def test_the_response_says_which_model_version_and_signature_answered(client):
    x = np.zeros((1, 2), np.float32)
    spec = client.predict({"x": x}).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("ranker", 3, "serving_default")
    spec = client.predict({"id": np.array([1]), "x": x}, signature="embed", version=3).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("ranker", 3, "embed")


def test_an_output_filter_selects_outputs(client, everything):
    inputs = {"id": np.array([4, 2]), "x": np.ones((2, 2), np.float32)}
    both = arrays(client.predict(inputs, signature="embed"))
    assert both.keys() == {"sum", "embedding"}
    one = arrays(client.predict(inputs, ["embedding"], signature="embed"))
    assert one.keys() == {"embedding"}
    np.testing.assert_array_equal(one["embedding"], everything.table.numpy()[[4, 2]])


def test_every_dtype_comes_back_as_it_went(client):
    inputs = {
        "flag": np.array([True, False]),
        "int8": np.array([-128, 127], np.int8),
        "uint8": np.array([0, 255], np.uint8),
        "int32": np.array([-(2**31), 2**31 - 1], np.int32),
        "int64": np.array([-(2**63), 2**63 - 1], np.int64),
        "uint64": np.array([0, 2**64 - 1], np.uint64),
        "float64": np.array([np.pi, -np.inf]),
    }
    outputs = arrays(client.predict(inputs, signature="echo"))
    for name, value in inputs.items():
        np.testing.assert_array_equal(outputs[name], value, strict=True)


def test_half_precision_is_served(client):
    brain = tf.bfloat16.as_numpy_dtype
    inputs = {"half": np.array([0.5, -2], np.float16), "brain": np.array([1.5, 3], brain)}
    outputs = arrays(client.predict(inputs, signature="halves"))
    np.testing.assert_array_equal(outputs["half"], np.array([1.5, -1], np.float16), strict=True)
    np.testing.assert_array_equal(outputs["brain"], np.array([2.5, 4], brain), strict=True)


def test_strings_may_hold_any_bytes(client):
    text = np.array([b"a\x00", b"\xff\xfe", "é".encode(), b""], object)
    outputs = arrays(client.predict({"text": text}, signature="text"))
    assert list(outputs["text_bytes"]) == [value + b"!" for value in text]


def test_scores_are_in_the_field_of_their_dtype_where_clients_look(client):
    x = np.ones((3, 2), np.float32)
    score = client.predict({"x": x}).outputs["score"]
    assert len(score.float_val) == 3
    assert not score.tensor_content


def test_an_empty_batch_gives_no_scores(client):
    assert arrays(client.predict({"x": np.zeros((0, 2), np.float32)}))["score"].shape == (0,)


def test_metadata_has_the_signatures(client):
    response = client.metadata()
    assert (response.model_spec.name, response.model_spec.version.value) == ("ranker", 3)
    signatures = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    embed = signatures.signature_def["embed"]
    assert embed.method_name == "tensorflow/serving/predict"
    assert {name: info.dtype for name, info in embed.inputs.items()} == {
        "id": tf.int64.as_datatype_enum,
        "x": tf.float32.as_datatype_enum,
    }
    assert [dim.size for dim in embed.inputs["x"].tensor_shape.dim] == [-1, 2]


def test_status_is_available_with_no_error(client):
    status = client.status()
    assert status.keys() == {3}
    assert status[3][0] == "AVAILABLE"
    assert (status[3][1].error_code, status[3][1].error_message) == (0, "")
    assert client.status(version=3) == status


X = np.zeros((1, 2), np.float32)


@pytest.mark.parametrize(
    ("inputs", "spec", "reason"),
    [
        ({"x": X}, {"name": "other"}, "Servable not found for request: Latest(other)"),
        ({"x": X}, {"version": 9}, "Servable not found for request: Specific(ranker, 9)"),
    ],
)
def test_an_unknown_model_or_version_is_not_found(client, inputs, spec, reason):
    assert refusal(client.predict, inputs, **spec) == (grpc.StatusCode.NOT_FOUND, reason)


@pytest.mark.parametrize(
    ("inputs", "spec", "reasons"),
    [
        ({"x": X}, {"label": "stable"}, ["Unrecognized servable version label: stable"]),
        ({"x": X}, {"name": ""}, ["no name"]),
        ({"x": X}, {"outputs": ["nothing"]}, ["'nothing'", "'score'"]),
        ({"x": X}, {"outputs": ["score", "score"]}, ["duplicate output"]),
        ({}, {}, ["input 'x' is missing"]),
        ({"x": X, "y": X}, {}, ["no input 'y'", "'x'"]),
        ({"x": X.astype(np.float64)}, {}, ["float64", "float32"]),
        ({"x": np.zeros((1, 3), np.float32)}, {}, ["[1, 3]", "[None, 2]"]),
        ({"x": np.zeros(2, np.float32)}, {}, ["[2]", "[None, 2]"]),
        ({"id": np.array([99]), "x": X}, {"signature": "embed"}, ["99 is not in [0, 10)"]),
    ],
)
def test_a_request_that_does_not_fit_the_model_is_refused_with_the_reason(
    client, inputs, spec, reasons
):
    code, details = refusal(client.predict, inputs, **spec)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    for reason in reasons:
        assert reason in details


ONE_ROW = {"dim": [{"size": 1}, {"size": 2}]}


@pytest.mark.parametrize(
    ("proto", "reason"),
    [
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 10**12}, {"size": 2}]}}, "bytes"),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": -1}, {"size": 2}]}}, "[-1, 2]"),
        ({"dtype": 1, "tensor_shape": {"unknown_rank": True}}, "dimension"),
        ({"dtype": 0}, "DT_INVALID"),
        ({"dtype": 21}, "DT_VARIANT"),
        ({"dtype": 12345}, "12345"),
        (
            {"dtype": 1, "tensor_shape": ONE_ROW, "tensor_content": b"12345"},
            "5 bytes of tensor_content",
        ),
        (
            {"dtype": 1, "tensor_shape": ONE_ROW, "float_val": [1, 2, 3]},
            "with 3 values; accepted: up to 2",
        ),
        ({"dtype": 7, "tensor_content": b"abc"}, "dtype string"),
        ({"dtype": 4, "int_val": [-1]}, "dtype uint8"),
    ],
)
def test_a_damaged_tensor_is_refused_with_the_reason(client, proto, reason):
    request = PredictRequest(model_spec={"name": "ranker"}, inputs={"x": TensorProto(**proto)})
    code, details = refusal(client.raw, "Predict", request.SerializeToString())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in details


def test_a_last_value_stands_for_those_that_follow_it(client, everything):
    proto = TensorProto(
        dtype=tf.float32.as_datatype_enum,
        tensor_shape=tf.TensorShape([5, 2]).as_proto(),
        float_val=[0.5],
    )
    request = PredictRequest(model_spec={"name": "ranker"}, inputs={"x": proto})
    response = type(client.predict({"x": X})).FromString(
        client.raw("Predict", request.SerializeToString())
    )
    expected = everything.expected_score(np.full((5, 2), 0.5))
    np.testing.assert_allclose(arrays(response)["score"], expected, rtol=1e-6)


def test_a_request_without_model_spec_is_refused(client):
    for method, service in [
        ("Predict", "PredictionService"),
        ("Classify", "PredictionService"),
        ("Regress", "PredictionService"),
        ("GetModelMetadata", "PredictionService"),
        ("GetModelStatus", "ModelService"),
    ]:
        code, details = refusal(client.raw, method, b"", service)
        assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


def test_metadata_and_status_of_what_is_not_there(client):
    assert refusal(client.metadata, name="other")[0] is grpc.StatusCode.NOT_FOUND
    assert refusal(client.metadata, version=1)[0] is grpc.StatusCode.NOT_FOUND
    assert refusal(client.metadata, fields=["weights"])[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(client.metadata, fields=[])[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(client.status, name="other") == (
        grpc.StatusCode.NOT_FOUND,
        "Could not find any versions of model other",
    )
    assert refusal(client.status, version=1) == (
        grpc.StatusCode.NOT_FOUND,
        "Could not find version 1 of model ranker",
    )


@pytest.mark.parametrize(
    ("method", "service"),
    [("SessionRun", "SessionService"), ("PredictStreamed", "PredictionService")],
)
def test_a_method_that_is_not_there_is_unimplemented_with_a_reason(client, method, service):
    code, details = refusal(client.raw, method, b"", service)
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert method in details


def test_an_unknown_signature_is_a_failed_precondition(client):
    code, details = refusal(client.predict, {"x": X}, signature="other")
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "'other' not found" in details
    assert "'embed'" in details


def records(*pairs):
    features = (
        {f"x{i}": tf.train.Feature(float_list={"value": [v]}) for i, v in enumerate(pair)}
        for pair in pairs
    )
    return Input(example_list={"examples": [{"features": {"feature": one}} for one in features]})


PAIRS = [(1.0, 0.5), (3.0, -0.5)]


def test_records_are_classified_and_regressed(client, everything):
    spec = {"name": "ranker"}
    request = RegressionRequest(
        model_spec={**spec, "signature_name": "regress"}, input=records(*PAIRS)
    )
    response = RegressionResponse.FromString(client.raw("Regress", request.SerializeToString()))
    values = [one.value for one in response.result.regressions]
    np.testing.assert_allclose(values, everything.expected_score(np.array(PAIRS)), rtol=1e-6)
    assert response.model_spec.version.value == 3
    assert response.model_spec.signature_name == "regress"

    request = ClassificationRequest(
        model_spec={**spec, "signature_name": "classify"}, input=records(*PAIRS)
    )
    data = client.raw("Classify", request.SerializeToString())
    response = ClassificationResponse.FromString(data)
    found = [
        [(one.label, one.score) for one in row.classes] for row in response.result.classifications
    ]
    assert [[label for label, _ in row] for row in found] == [["no", "yes"]] * 2
    np.testing.assert_allclose([row[1][1] for row in found], values)


def test_several_signatures_are_run_on_the_same_records(client, everything):
    request = MultiInferenceRequest(input=records(*PAIRS))
    for name in ("regress", "classify"):
        request.tasks.add(
            model_spec={"name": "ranker", "signature_name": name},
            method_name=f"tensorflow/serving/{name}",
        )
    data = client.raw("MultiInference", request.SerializeToString())
    regressed, classified = MultiInferenceResponse.FromString(data).results
    expected = everything.expected_score(np.array(PAIRS))
    values = [one.value for one in regressed.regression_result.regressions]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    rows = classified.classification_result.classifications
    np.testing.assert_allclose([row.classes[1].score for row in rows], expected, rtol=1e-6)
    assert [one.model_spec.signature_name for one in (regressed, classified)] == [
        "regress",
        "classify",
    ]
    assert classified.model_spec.version.value == 3


def test_an_input_that_the_signature_has_a_default_for_may_be_missing(client, everything):
    response = client.predict({}, signature="defaulted")
    np.testing.assert_array_equal(arrays(response)["score"], [0.5])
    x = np.ones((2, 2), np.float32)
    response = client.predict({"x": x}, signature="defaulted")
    np.testing.assert_allclose(arrays(response)["score"], everything.expected_score(x), rtol=1e-6)


def test_a_configuration_is_taken_over_and_labels_lead_to_versions(everything_directory, connect):
    with Server(everything_directory, "ranker", port=0, rest_port=0) as server:
        client = connect(server)
        request = ReloadConfigRequest()
        config = request.config.model_config_list.config.add(
            name="ranker", base_path=str(everything_directory), model_platform="tensorflow"
        )
        config.version_labels["stable"] = 3
        data = client.raw("HandleReloadConfigRequest", request.SerializeToString(), "ModelService")
        assert ReloadConfigResponse.FromString(data).status.error_code == 0
        assert client.predict({"x": X}, label="stable").model_spec.version.value == 3
        assert client.metadata(label="stable").model_spec.version.value == 3
        assert client.post({"instances": [[0, 0]]}, "/labels/stable:predict").status_code == 200
        request.metric_names.append("/tensorflow/serving/request_count")
        code, _ = refusal(
            client.raw, "HandleReloadConfigRequest", request.SerializeToString(), "ModelService"
        )
        assert code is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_that_fails_inside_is_internal_with_one_line_and_one_in_the_log(
    client, monkeypatch, caplog
):
    def fail(*arguments, **options):
        raise KeyError("what only the log may tell")

    monkeypatch.setattr("tfnorm.server.versions.loaded.LoadedVersion.run", fail)
    with caplog.at_level(logging.ERROR, "tfnorm.server"):
        code, details = refusal(client.predict, {"x": X})
    assert code is grpc.StatusCode.INTERNAL
    assert details == "the server failed on this request (KeyError); its log says where"
    (record,) = caplog.records
    assert "Predict failed" in record.getMessage()
    assert "what only the log may tell" in record.getMessage()


def lying(dtype, shape, **values):
    dims = {"dim": [{"size": size} for size in shape]}
    return TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=dims, **values)


@pytest.mark.parametrize(
    ("signature", "name", "proto"),
    [
        ("text", "text", lying(tf.string, [2**31])),
        ("text", "text", lying(tf.string, [2**62])),
        ("text", "text", lying(tf.string, [400], string_val=[bytes(4_000_000)])),
        ("serving_default", "x", lying(tf.string, [2**31])),
        ("serving_default", "x", lying(tf.float32, [2**26, 0])),
        ("serving_default", "x", lying(tf.float32, [2**26, 2], float_val=[0])),
        ("serving_default", "x", lying(tf.float32, [1] * 100_000)),
        ("reduce", "x", lying(tf.float32, [2**25], float_val=[0])),
    ],
    ids=["strings", "more", "repeated", "other dtype", "zero", "repeated float", "rank", "answer"],
)
def test_a_message_that_asks_for_memory_is_refused_before_it_is_taken(
    client, signature, name, proto
):
    request = PredictRequest(
        model_spec={"name": "ranker", "signature_name": signature}, inputs={name: proto}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, details = refusal(client.raw, "Predict", request.SerializeToString())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "accepted" in details
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert taken < 64 * 2**20


def test_a_request_over_the_size_limit_is_refused_with_the_reason(everything_directory, connect):
    with Server(
        everything_directory, "ranker", port=0, rest_port=0, max_request_bytes=10_000
    ) as server:
        client = connect(server)
        code, details = refusal(client.predict, {"x": np.zeros((2_000, 2), np.float32)})
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "10,000" in details
        assert client.predict({"x": X}).outputs["score"].float_val


def test_a_long_reason_arrives_shortened(client):
    code, details = refusal(client.predict, {"x": X, "é" * 5_000: X})
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.endswith("...TRUNCATED")
