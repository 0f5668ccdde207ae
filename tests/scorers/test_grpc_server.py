import time

import numpy as np
import pytest
from verify.tiny_servers import CERTIFICATE, Service, grpc_server, signature_def

from tfnorm.errors import InputError
from tfnorm.scorers.connection import Unreachable
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
