import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2
from verify.tiny_servers import CERTIFICATE, Service, grpc_server, signature_def

import tfnorm.scorers.servers.grpc_server as grpc_scorer
from tfnorm.errors import InputError
from tfnorm.scorers.servers.connection import Busy, Nonsense, Unreachable
from tfnorm.verify import Connection, batch_invariance, load_scorer

SIGNATURE = signature_def(
    {"x": ("float32", [-1, 3]), "word": ("string", [-1])},
    {"score": ("float32", [-1]), "word": ("string", [-1])},
)
ONCE = Connection(retries=0)
EXAMPLES = {
    "x": np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32),
    "word": np.array([b"a\x00\xff", b""] * 10, object),
}


def _clean(inputs):
    return {"score": inputs["x"].sum(axis=1), "word": inputs["word"]}


def _centred(inputs):
    return {"score": (inputs["x"] - inputs["x"].mean(axis=0)).sum(axis=1), "word": inputs["word"]}


@pytest.fixture
def clean():
    service = Service(_clean, SIGNATURE)
    with grpc_server(service) as address:
        service.address = address
        yield service


def test_the_signature_is_the_servers(clean):
    scorer = load_scorer(f"{clean.address}/ranker")
    assert scorer.inputs["x"].shape.as_list() == [None, 3]
    assert scorer.inputs["word"].dtype == "string"
    assert scorer.signature == "serving_default"


def test_values_go_and_come_back_exactly(clean):
    extremes = np.array(
        [[np.nan, np.inf, -np.inf], [-0.0, 1e-45, 3.4028235e38], [0.1, 1 / 3, -1e-38]], np.float32
    )
    words = np.array([b"\xff\x00", b"", "né".encode()], object)
    scores = load_scorer(f"{clean.address}/ranker").score({"x": extremes, "word": words})
    (request,) = clean.requests
    assert request.inputs["x"].tensor_content == extremes.tobytes()
    np.testing.assert_array_equal(scores["score"], extremes.sum(axis=1))
    assert scores["score"].dtype == np.float32
    assert scores["word"].tolist() == words.tolist()


@pytest.mark.parametrize("url", ["/ranker", "/ranker/3", "/ranker/"])
def test_the_version_that_was_there_first_is_the_one_that_is_scored(clean, url):
    load_scorer(clean.address + url).score(EXAMPLES)
    (request,) = clean.requests
    assert request.model_spec.name == "ranker"
    assert request.model_spec.version.value == 3
    assert request.model_spec.signature_name == "serving_default"


def test_a_large_batch_is_not_over_any_limit(clean):
    many = {"x": np.ones((500_000, 3), np.float32), "word": np.full(500_000, b"", object)}
    assert load_scorer(f"{clean.address}/ranker").score(many)["score"].shape == (500_000,)


def test_a_server_is_verified(clean):
    report = batch_invariance(f"{clean.address}/ranker", EXAMPLES)
    assert report.passed
    assert report.target == f"{clean.address}/ranker"
    with grpc_server(Service(_centred, SIGNATURE)) as address:
        assert not batch_invariance(f"{address}/ranker", EXAMPLES).passed


@pytest.mark.parametrize(
    ("path", "signature", "message"),
    [
        ("/other", None, "NOT_FOUND: Servable not found: other"),
        ("/ranker/4", None, "NOT_FOUND"),
        ("/ranker", "classify", "no signature 'classify'; it has 'serving_default'"),
        ("", None, "is not grpc://HOST:PORT/NAME"),
        ("/ranker/latest", None, "is not grpc://HOST:PORT/NAME"),
    ],
)
def test_what_the_server_does_not_have_is_an_input_error(clean, path, signature, message):
    with pytest.raises(InputError, match=message):
        load_scorer(clean.address + path, signature=signature)


def test_a_server_that_is_not_there_is_an_input_error():
    with pytest.raises(InputError, match=r"grpc://127\.0\.0\.1:1/ranker: no server answers there"):
        load_scorer("grpc://127.0.0.1:1/ranker", connection=ONCE)


def test_a_server_that_dies_says_how_far_it_came():
    service = Service(_clean, SIGNATURE)
    with grpc_server(service) as address:
        scorer = load_scorer(f"{address}/ranker", connection=ONCE)
    with pytest.raises(
        InputError,
        match=r"stopped at 'one at a time', in a batch of 1, after 0 of .* rows: .*no server",
    ):
        batch_invariance(scorer, EXAMPLES)


def test_a_refusal_is_an_input_error_with_the_servers_reason():
    def refuse(inputs):
        raise ValueError("ids must be below 10")

    with (
        grpc_server(Service(refuse, SIGNATURE)) as address,
        pytest.raises(InputError, match="INVALID_ARGUMENT: ids must be below 10"),
    ):
        load_scorer(f"{address}/ranker").score(EXAMPLES)


def test_a_server_that_does_not_answer_is_given_up():
    def slow(inputs):
        time.sleep(0.6)
        return _clean(inputs)

    with (
        grpc_server(Service(slow, SIGNATURE)) as address,
        pytest.raises(InputError, match="did not answer in time"),
    ):
        load_scorer(f"{address}/ranker", connection=Connection(timeout=0.2)).score(EXAMPLES)


SCORE = {"dtype": 1, "tensor_shape": {"dim": [{"size": 20}]}, "float_val": [0.5]}
WORD = {"dtype": 7, "tensor_shape": {"dim": [{"size": 20}]}, "string_val": [b"a"]}


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "lacks 'score', 'word'"),
        ({"score": SCORE}, "lacks 'word'"),
        ({"score": SCORE, "word": WORD, "more": SCORE}, "no output of the signature: 'more'"),
        ({"score": {**SCORE, "dtype": 2}, "word": WORD}, "dtype float64"),
        ({"score": {**SCORE, "dtype": 0}, "word": WORD}, "DT_INVALID"),
        ({"score": {**SCORE, "dtype": 999}, "word": WORD}, "dtype 999"),
        ({"score": {**SCORE, "dtype": 999, "float_val": []}, "word": WORD}, "dtype 999"),
        ({"score": {**SCORE, "tensor_content": b"abc"}, "word": WORD}, "3 bytes of tensor_con"),
        ({"score": {**SCORE, "float_val": [0.5] * 21}, "word": WORD}, "with 21 values"),
        ({"score": {**SCORE, "tensor_shape": {"dim": [{"size": -1}]}}, "word": WORD}, r"\[-1\]"),
        ({"score": {**SCORE, "tensor_shape": {"dim": [{"size": 2**40}]}}, "word": WORD}, "bytes"),
        ({"score": SCORE, "word": {**WORD, "tensor_shape": {"dim": [{"size": 2**31}]}}}, "bytes"),
        ({"score": {**SCORE, "tensor_shape": {}}, "word": WORD}, r"shape \[\]"),
        ({"score": {**SCORE, "float_val": []}, "word": WORD}, "20 values by its shape, but none"),
        ({"score": {**SCORE, "tensor_shape": {"unknown_rank": True}}, "word": WORD}, "dimension"),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_verdict(clean, outputs, message):
    scorer = load_scorer(f"{clean.address}/ranker")
    protos = {name: TensorProto(**proto) for name, proto in outputs.items()}
    answer = predict_pb2.PredictResponse(outputs=protos)
    scorer._service.Predict = lambda *_, **__: answer
    with pytest.raises(Nonsense, match=message) as caught:
        scorer.score(EXAMPLES)
    assert len(str(caught.value).splitlines()) == 1


def test_an_answer_that_is_no_message_is_no_verdict():
    signature = Service(_clean, SIGNATURE)

    class Garbled(grpc.GenericRpcHandler):
        def service(self, details):
            name = details.method.rpartition("/")[2]
            if name == "Predict":
                return grpc.unary_unary_rpc_method_handler(lambda request, context: b"\xff\xff")
            request = get_model_metadata_pb2.GetModelMetadataRequest
            return grpc.unary_unary_rpc_method_handler(
                lambda data, context: signature.GetModelMetadata(
                    request.FromString(data), context
                ).SerializeToString()
            )

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Garbled()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        scorer = load_scorer(f"grpc://127.0.0.1:{port}/ranker")
        with pytest.raises(Nonsense, match="the answer makes no sense"):
            scorer.score(EXAMPLES)
    finally:
        server.stop(0).wait()


def test_an_answer_of_another_version_is_no_verdict(clean):
    scorer = load_scorer(f"{clean.address}/ranker")
    call = scorer._service.Predict

    def rolled(*arguments, **options):
        response = call(*arguments, **options)
        response.model_spec.version.value = 4
        return response

    scorer._service.Predict = rolled
    with pytest.raises(Nonsense, match="version 4 answered where version 3 was asked for"):
        scorer.score(EXAMPLES)


def test_an_answer_of_another_model_is_no_verdict(clean):
    scorer = load_scorer(f"{clean.address}/ranker")
    answer = predict_pb2.PredictResponse(model_spec={"name": "other"})
    scorer._service.Predict = lambda *_, **__: answer
    with pytest.raises(Nonsense, match="model 'other' answered where 'ranker' was asked for"):
        scorer.score(EXAMPLES)


def test_where_the_metadata_has_no_version_the_first_answers_version_stays(clean, monkeypatch):
    whole = clean.GetModelMetadata

    def unnamed(request, context):
        response = whole(request, context)
        response.ClearField("model_spec")
        return response

    monkeypatch.setattr(clean, "GetModelMetadata", unnamed)
    scorer = load_scorer(f"{clean.address}/ranker")
    call, version = scorer._service.Predict, 3

    def answered(*arguments, **options):
        response = call(*arguments, **options)
        response.model_spec.version.value = version
        return response

    scorer._service.Predict = answered
    scorer.score(EXAMPLES)
    version = 4
    with pytest.raises(Nonsense, match="version 4 answered where version 3 was asked for"):
        scorer.score(EXAMPLES)


def test_an_answer_that_would_take_much_once_it_is_parsed_is_no_verdict(clean, monkeypatch):
    monkeypatch.setattr(grpc_scorer, "_MOST_PARSED", 10_000)
    scorer = load_scorer(f"{clean.address}/ranker")
    with pytest.raises(Nonsense, match="over 10,000 bytes once it is parsed"):
        scorer.score({name: np.repeat(array, 50, 0) for name, array in EXAMPLES.items()})


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("INVALID_ARGUMENT", InputError, "INVALID_ARGUMENT: because"),
        ("NOT_FOUND", Unreachable, "the version that is scored is there no more"),
        ("RESOURCE_EXHAUSTED", Busy, "turns requests away .RESOURCE_EXHAUSTED: because"),
        ("UNAVAILABLE", Busy, "turns requests away .UNAVAILABLE: because"),
        ("INTERNAL", Unreachable, "the server failed on a request .INTERNAL: because"),
        ("UNKNOWN", Unreachable, "the server failed on a request .UNKNOWN"),
        ("PERMISSION_DENIED", Unreachable, "the server failed on a request .PERMISSION_DENIED"),
        ("DEADLINE_EXCEEDED", Unreachable, "did not answer in time"),
    ],
)
def test_a_code_is_told_as_what_it_is(clean, code, kind, message, monkeypatch):
    scorer = load_scorer(f"{clean.address}/ranker", connection=ONCE)
    monkeypatch.setattr(
        clean,
        "function",
        lambda inputs: clean.context.abort(getattr(grpc.StatusCode, code), "because"),
    )
    check = clean._check

    def kept(request, context):
        clean.context = context
        check(request, context)

    monkeypatch.setattr(clean, "_check", kept)
    with pytest.raises(InputError, match=message) as caught:
        scorer.score(EXAMPLES)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("inputs", "metadata", "message"),
    [
        ({"x": {"dtype": 999}}, None, "makes no sense"),
        ({"x": {"dtype": 0}}, None, "makes no sense"),
        ({"x": {"dtype": 1, "tensor_shape": {"dim": [{"size": -7}]}}}, None, "makes no sense"),
        ({}, b"\xff", "no signatures"),
        ({}, "other type", "no signatures"),
        ({}, "none", "no signatures"),
    ],
)
def test_metadata_that_makes_no_sense_is_an_input_error(
    clean, inputs, metadata, message, monkeypatch
):
    whole = clean.GetModelMetadata

    def damaged(request, context):
        response = whole(request, context)
        definitions = get_model_metadata_pb2.SignatureDefMap()
        definitions.signature_def["serving_default"].MergeFrom(
            meta_graph_pb2.SignatureDef(
                inputs={name: meta_graph_pb2.TensorInfo(**info) for name, info in inputs.items()}
            )
        )
        response.metadata["signature_def"].Pack(definitions)
        if isinstance(metadata, bytes):
            response.metadata["signature_def"].value = metadata
        elif metadata == "other type":
            response.metadata["signature_def"].Pack(response.model_spec)
        elif metadata == "none":
            response.metadata.clear()
        return response

    monkeypatch.setattr(clean, "GetModelMetadata", damaged)
    with grpc_server(clean) as address, pytest.raises(InputError, match=message):
        load_scorer(f"{address}/ranker")


def test_a_version_beyond_int64_is_an_input_error(clean):
    for version in (2**63, 10**30):
        with pytest.raises(InputError, match=f"there is no version {version}"):
            load_scorer(f"{clean.address}/ranker/{version}")


def test_the_version_that_has_a_label_is_scored(clean):
    load_scorer(f"{clean.address}/ranker/labels/stable").score(EXAMPLES)
    assert clean.requests[0].model_spec.version.value == 3
    with pytest.raises(InputError, match="NOT_FOUND"):
        load_scorer(f"{clean.address}/ranker/labels/canary")


def test_headers_go_along_as_metadata(clean):
    connection = Connection(headers={"Authorization": "Bearer secret"})
    load_scorer(f"{clean.address}/ranker", connection=connection).score(EXAMPLES)
    assert clean.metadata["authorization"] == "Bearer secret"


def test_a_server_that_is_unavailable_for_a_while_is_asked_again(clean):
    scorer = load_scorer(f"{clean.address}/ranker", connection=Connection(retries=3))
    clean.unavailable = 3
    assert scorer.score(EXAMPLES)["score"].shape == (20,)
    clean.unavailable = 4
    with pytest.raises(Unreachable, match="loading"):
        scorer.score(EXAMPLES)


def test_a_batch_over_the_message_limit_is_refused_with_the_reason(clean):
    scorer = load_scorer(f"{clean.address}/ranker", connection=Connection(max_message_bytes=10_000))
    scorer.score(EXAMPLES)
    many = {name: np.resize(a, (2000, *a.shape[1:])) for name, a in EXAMPLES.items()}
    with pytest.raises(InputError, match=r"RESOURCE_EXHAUSTED.*smaller batches"):
        scorer.score(many)


def test_tls_trusts_the_certificates_it_is_given():
    with grpc_server(Service(_clean, SIGNATURE), tls=True) as address:
        trusting = Connection(certificates=CERTIFICATE, retries=0)
        scorer = load_scorer(f"{address}/ranker", connection=trusting)
        assert scorer.score(EXAMPLES)["score"].shape == (20,)
        with pytest.raises(InputError, match="no server answers there"):
            load_scorer(f"{address}/ranker", connection=ONCE)
