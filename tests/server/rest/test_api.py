"""The REST API against NumPy and the shapes that TensorFlow Serving's documentation gives."""

import gzip
import logging

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tfnorm.server import Server


def test_rows_give_predictions(client, everything):
    x = np.random.default_rng(0).normal(size=(17, 2)).astype(np.float32)
    response = client.post({"instances": [{"x": row} for row in x.tolist()]})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json().keys() == {"predictions"}
    np.testing.assert_allclose(
        response.json()["predictions"], everything.expected_score(x), rtol=1e-6
    )
    assert client.post({"instances": x.tolist()}).json() == response.json()


def test_columns_give_outputs(client, everything):
    x = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    response = client.post({"inputs": {"x": x.tolist()}})
    assert response.json().keys() == {"outputs"}
    np.testing.assert_allclose(response.json()["outputs"], everything.expected_score(x), rtol=1e-6)
    assert client.post({"inputs": x.tolist()}).json() == response.json()


def test_several_outputs_come_by_name(client, everything):
    table = everything.table.numpy()
    rows = {
        "signature_name": "embed",
        "instances": [{"id": 4, "x": [0, 0]}, {"id": 2, "x": [1, 1]}],
    }
    predictions = client.post(rows).json()["predictions"]
    np.testing.assert_array_equal(
        np.float32([row["embedding"] for row in predictions]), table[[4, 2]]
    )
    columns = {"signature_name": "embed", "inputs": {"id": [4, 2], "x": [[0, 0], [1, 1]]}}
    outputs = client.post(columns).json()["outputs"]
    assert outputs["embedding"] == [row["embedding"] for row in predictions]
    assert outputs["sum"] == [row["sum"] for row in predictions]


def test_strings_and_bytes_go_both_ways(client):
    body = {"signature_name": "text", "instances": ["é", {"b64": "YQ=="}]}
    assert client.post(body).json() == {
        "predictions": [
            {"text_bytes": {"b64": "w6kh"}, "upper": "é"},
            {"text_bytes": {"b64": "YSE="}, "upper": "A"},
        ]
    }


def test_every_dtype_comes_back_as_it_went(client):
    row = {
        "flag": True,
        "int8": -128,
        "uint8": 255,
        "int32": -(2**31),
        "int64": 2**63 - 1,
        "uint64": 2**64 - 1,
        "float64": 0.1,
    }
    response = client.post({"signature_name": "echo", "instances": [row]})
    assert response.json() == {"predictions": [row]}


def test_an_output_without_batch_dimension_comes_in_columns_only(client):
    body = {"signature_name": "reduce", "inputs": [1, 2]}
    assert client.post(body).json() == {"outputs": {"sum": 3.0, "same": [1.0, 2.0]}}
    response = client.post({"signature_name": "reduce", "instances": [1, 2]})
    assert response.status_code == 400
    assert "batch size" in response.json()["error"]


def test_a_loaded_version_can_be_named(client):
    body = {"instances": [[0, 0]]}
    assert client.post(body, "/versions/3:predict").json() == {"predictions": [0.5]}
    response = client.post(body, "/versions/4:predict")
    assert response.status_code == 404
    assert response.json() == {"error": "Servable not found for request: Specific(ranker, 4)"}


def test_status_has_tensorflow_servings_shape(client):
    expected = {
        "model_version_status": [
            {
                "version": "3",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert client.get().json() == expected
    assert client.get("/versions/3").json() == expected


def test_metadata_has_tensorflow_servings_shape(client):
    metadata = client.get("/metadata").json()
    assert metadata == client.get("/versions/3/metadata").json()
    assert metadata["model_spec"] == {"name": "ranker", "signature_name": "", "version": "3"}
    embed = metadata["metadata"]["signature_def"]["signature_def"]["embed"]
    assert embed["method_name"] == "tensorflow/serving/predict"
    assert embed["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert embed["inputs"]["x"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
        "unknown_rank": False,
    }
    assert embed["outputs"].keys() == {"sum", "embedding"}


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/models/other", 404, "Could not find any versions of model other"),
        ("/v1/models/ranker/versions/9", 404, "Could not find version 9 of model ranker"),
        ("/v1/models/other/metadata", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/ranker/labels/stable/metadata", 400, "version label: stable"),
        (f"/v1/models/ranker/versions/{2**63}", 400, "Failed to convert version"),
        (f"/v1/models/ranker/versions/{'9' * 5_000}", 400, "Failed to convert version"),
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/ranker/nothing", 400, "Malformed request: GET /v1/models/ranker/nothing"),
        ("/v2/models/ranker", 404, "Not Found"),
        ("/", 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_answered_with_the_reason(server, path, status, error):
    response = requests.get(f"http://127.0.0.1:{server.rest_port}{path}", timeout=30)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert error in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "path", "status", "error"),
    [
        (b"", ":predict", 400, "JSON Parse error: The document is empty"),
        (b'{"instances": [', ":predict", 400, "JSON Parse error"),
        (b"\xff\xfe", ":predict", 400, "JSON Parse error"),
        ({}, ":predict", 400, "Missing 'inputs' or 'instances' key"),
        ({"instances": []}, ":predict", 400, "No values in 'instances' array"),
        ({"instances": [[1, 2], [3]]}, ":predict", 400, "'x'[1] is a list of 1"),
        ({"instances": [[1, 2, 3]]}, ":predict", 400, "[1, 3]"),
        ({"instances": [["a", "b"]]}, ":predict", 400, "is not of expected type: float"),
        ({"instances": [{"y": [1, 2]}]}, ":predict", 400, "keys must be equal to: x"),
        (
            {"instances": [1], "signature_name": "other"},
            ":predict",
            400,
            '"other" not found',
        ),
        ({"instances": [1], "signature_name": 5}, ":predict", 400, "must be a string"),
        ({"instances": [1], "signature_name": "\ud800"}, ":predict", 400, "ud800"),
        (
            {"inputs": {"id": [99], "x": [[0, 0]]}, "signature_name": "embed"},
            ":predict",
            400,
            "99 is not in [0, 10)",
        ),
        ({"instances": [1], "signature_name": "to_half"}, ":predict", 400, "half"),
        ({"instances": [1]}, "/labels/stable:predict", 400, "label: stable"),
        ({"instances": [1]}, "/versions/x:predict", 400, "Malformed request"),
        ({"instances": [1]}, "", 400, "Malformed request"),
        (
            {"inputs": {"half": [1], "brain": [1]}, "signature_name": "halves"},
            ":predict",
            501,
            "use gRPC",
        ),
        ({"examples": [{}]}, ":classify", 400, "method_name tensorflow/serving/classify"),
    ],
)
def test_a_request_that_can_not_be_served_is_refused_with_the_reason(
    client, body, path, status, error
):
    response = client.post(body, path)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert error in response.json()["error"]


@pytest.mark.parametrize("signature", ["classify", "regress"])
def test_a_record_that_is_none_is_refused_whatever_its_bytes(client, signature):
    answer = client.post({"signature_name": signature, "inputs": [{"b64": "/w=="}]})
    assert answer.status_code == 400
    assert "Could not parse example input" in answer.json()["error"]


def test_an_unknown_model_is_not_found(server):
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/other:predict"
    response = requests.post(url, json={"instances": [1]}, timeout=30)
    assert response.status_code == 404
    assert response.json() == {"error": "Servable not found for request: Latest(other)"}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_other_http_methods_are_malformed_requests(server, method):
    response = requests.request(method, server.rest_url, timeout=30)
    assert response.status_code == 400
    assert method == "HEAD" or f"Malformed request: {method}" in response.json()["error"]


def test_a_browsers_question_before_it_posts_is_answered(server):
    origin = {"Origin": "https://example.org"}
    assert requests.options(server.rest_url, headers=origin, timeout=30).status_code == 200
    response = requests.options(server.rest_url, timeout=30)
    assert response.status_code == 400
    assert "Origin header is missing" in response.json()["error"]


def test_a_status_does_not_look_at_the_label(client):
    assert client.get("/labels/stable").json() == client.get().json()


def test_a_gzipped_body_is_taken(client):
    packed = gzip.compress(b'{"instances": [[0, 0]]}')
    headers = {"Content-Encoding": "gzip"}
    assert client.post(packed, headers=headers).json() == {"predictions": [0.5]}
    response = client.post(packed[:-1], headers=headers)
    assert response.status_code == 400
    assert "gzip" in response.json()["error"]


def test_records_are_classified_and_regressed(client, everything):
    body = {
        "context": {"x0": 1.0},
        "examples": [{"x1": 0.5}, {"x0": 3.0, "x1": 0.5}],
    }
    values = client.post({**body, "signature_name": "regress"}, ":regress").json()["results"]
    np.testing.assert_allclose(values, everything.expected_score(np.array([[1, 0.5], [3, 0.5]])))
    found = client.post({**body, "signature_name": "classify"}, ":classify").json()["results"]
    assert [[label for label, _ in row] for row in found] == [["no", "yes"]] * 2
    np.testing.assert_allclose([row[1][1] for row in found], values)
    scores = client.post({**body, "signature_name": "classify_scores"}, ":classify").json()
    assert scores["results"][0] == [["", found[0][0][1]], ["", found[0][1][1]]]


def test_the_page_for_prometheus_counts_requests_under_tensorflow_servings_names(
    everything_directory, connect
):
    with Server(everything_directory, "ranker", port=0, rest_port=0) as server:
        client = connect(server)
        client.post({"instances": [[0, 0], [1, 1]]})
        client.post({"instances": [[0, 0]]})
        client.post({"instances": [[0]]})
        client.predict({"x": np.zeros((1, 2), np.float32)})
        requests.post(server.rest_url.replace("ranker", "other") + ":predict", "{}", timeout=30)
        response = requests.get(
            f"http://127.0.0.1:{server.rest_port}/monitoring/prometheus/metrics", timeout=30
        )
    assert response.headers["Content-Type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    count = ":tensorflow:serving:request_count"
    assert samples[count, "OK", "ranker"] == 3
    assert samples[count, "INVALID_ARGUMENT", "ranker"] == 1
    assert samples[count, "", "NOT_FOUND"] == 1
    latency = ":tensorflow:serving:request_latency_count"
    assert samples[latency, "Predict", "REST", "ranker"] == 2
    assert samples[latency, "GRPC", "Predict", "ranker"] == 1


def test_a_call_that_fails_inside_is_one_line_of_json_and_one_in_the_log(
    client, monkeypatch, caplog
):
    def fail(*arguments, **options):
        raise KeyError("what only the log\nmay tell")

    monkeypatch.setattr("tfnorm.server.versions.loaded.LoadedVersion.run", fail)
    with caplog.at_level(logging.ERROR, "tfnorm.server"):
        response = client.post({"instances": [[0, 0]]})
    assert response.status_code == 500
    assert response.json() == {
        "error": "the server failed on this request (KeyError); its log says where"
    }
    (record,) = caplog.records
    assert "POST /v1/models/ranker:predict failed" in record.getMessage()
    assert "what only the log" in record.getMessage()
    assert "test_api.py:" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_body_over_the_size_limit_is_refused_with_the_reason(everything_directory, connect):
    def chunks():
        yield b'{"instances": ['
        for _ in range(300):
            yield b"[1.0, 2.0]," * 10
        yield b"[1.0, 2.0]]}"

    with Server(
        everything_directory, "ranker", port=0, rest_port=0, max_request_bytes=10_000
    ) as server:
        client = connect(server)
        for body in ({"instances": [[1.0, 2.0]] * 3_000}, {"instances": [[1.0, 2.0]] * 30_000}):
            response = client.post(body)
            assert response.status_code == 400
            assert "10,000" in response.json()["error"]
        streamed = requests.post(f"{server.rest_url}:predict", data=chunks(), timeout=30)
        assert streamed.status_code == 400
        assert client.post({"instances": [[0.0, 0.0]]}).json() == {"predictions": [0.5]}
