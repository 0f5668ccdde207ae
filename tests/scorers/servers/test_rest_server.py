import gzip
import json
import socket
import threading
import time
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from verify.tiny_servers import CERTIFICATE, _Handler, rest_server, signature_def

import tfnorm.scorers.servers.rest_server as rest_scorer
from tfnorm.errors import InputError
from tfnorm.scorers.servers.connection import Busy, Nonsense, Unreachable
from tfnorm.verify import Connection, batch_invariance, load_scorer

ONE = signature_def({"x": ("float32", [-1, 3])}, {"score": ("float32", [-1])})
TWO = signature_def(
    {"x": ("float32", [-1, 3]), "word": ("string", [-1])},
    {"score": ("float32", [-1]), "word_bytes": ("string", [-1])},
)
ONCE = Connection(retries=0)
EXAMPLES = {"x": np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)}


def _sum(request):
    return {"outputs": np.array(request["inputs"]["x"], np.float32).sum(axis=1).tolist()}


def _centred(request):
    x = np.array(request["inputs"]["x"], np.float32)
    return {"outputs": (x - x.mean(axis=0)).sum(axis=1).tolist()}


def _echo(request):
    inputs = request["inputs"]
    return {"outputs": {"score": [row[0] for row in inputs["x"]], "word_bytes": inputs["word"]}}


def test_a_server_is_verified():
    with rest_server(_sum, ONE) as server:
        report = batch_invariance(server.url, EXAMPLES)
    assert report.passed
    assert report.signature == "serving_default"
    with rest_server(_centred, ONE) as server:
        assert not batch_invariance(server.url, EXAMPLES).passed


def test_the_request_is_in_columns_for_the_version_that_was_there_first():
    with rest_server(_sum, ONE) as server:
        for url in (server.url, server.url + "/", server.url + "/versions/3"):
            load_scorer(url).score(EXAMPLES)
        for path, body in server.requests:
            assert path == "/v1/models/ranker/versions/3:predict"
            assert json.loads(body)["signature_name"] == "serving_default"
            assert len(json.loads(body)["inputs"]["x"]) == 20


def test_floats_and_bytes_go_and_come_back_exactly():
    numbers = np.array(
        [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4028235e38, 0.1, 1 / 3, 16777217], np.float32
    )
    words = np.array([b"\xff\x00", b"", "né".encode(), *[b"a"] * 6], object)
    with rest_server(_echo, TWO) as server:
        scores = load_scorer(server.url).score(
            {"x": np.repeat(numbers[:, None], 3, axis=1), "word": words}
        )
        (_, body) = server.requests[0]
    assert scores["score"].dtype == np.float32
    assert scores["score"].tobytes() == numbers.tobytes()
    assert scores["word_bytes"].tolist() == words.tolist()
    sent = [row[0] for row in json.loads(body)["inputs"]["x"]]
    np.testing.assert_array_equal(np.array(sent, np.float64), numbers.astype(np.float64))


def test_the_shortest_digits_of_every_magnitude_are_read_as_the_float_they_came_from():
    bits = np.random.default_rng(1).integers(0, 2**32, 20_000, dtype=np.uint32)
    numbers = bits.view(np.float32)[np.isfinite(bits.view(np.float32))]
    text = "[" + ", ".join(map(str, numbers)) + "]"
    with rest_server(lambda request: f'{{"outputs": {text}}}'.encode(), ONE) as server:
        scores = load_scorer(server.url).score(EXAMPLES)["score"]
    assert scores.tobytes() == numbers.tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int64", "uint8", "bool"])
def test_each_dtype_is_read_as_the_signature_has_it(dtype):
    definition = signature_def({"x": (dtype, [-1])}, {"y": (dtype, [-1])})
    values = np.array([0, 1, 1], tf.as_dtype(dtype).as_numpy_dtype)
    with rest_server(lambda request: {"outputs": request["inputs"]["x"]}, definition) as server:
        scores = load_scorer(server.url).score({"x": values})["y"]
    assert scores.dtype == values.dtype
    assert scores.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/other", "404 Servable not found for request"),
        ("/ranker:predict", "is not http://HOST:PORT/v1/models/NAME"),
        ("/ranker/labels", "is not http://HOST:PORT/v1/models/NAME"),
        ("", "is not http://HOST:PORT/v1/models/NAME"),
    ],
)
def test_what_the_server_does_not_have_is_an_input_error(path, message):
    with rest_server(_sum, ONE) as server:
        url = server.url.removesuffix("/ranker") + path
        with pytest.raises(InputError, match=message):
            load_scorer(url)


def test_a_signature_that_is_not_there_is_an_input_error():
    with (
        rest_server(_sum, ONE) as server,
        pytest.raises(InputError, match="no signature 'rank'; it has 'serving_default'"),
    ):
        load_scorer(server.url, signature="rank")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"predictions": [1.0]}, "the answer has no 'outputs'"),
        ({"outputs": None}, "JSON Value: null"),
        ({"outputs": ["1.5"]}, "is not of expected type: float"),
        ({"outputs": [True]}, "is not of expected type: float"),
        ({"outputs": [None]}, "is not of expected type: float"),
        ({"outputs": {"score": [1.0]}}, "is not of expected type: float"),
        ({"outputs": [[1.0]]}, r"shape \[1, 1\], where the signature has \[None\]"),
        (b'{"outputs": ' + b"[" * 100_000, "without a JSON object"),
        (b'{"outputs": [1' + b"0" * 5_000 + b"]}", "without a JSON object"),
        (b'{"outputs": [1.0]}\xff', "without a JSON object"),
        (b'{"outputs": [1e400]}', "without a JSON object"),
        ({"outputs": [1e39]}, "numbers beyond float32"),
        (b"null", "without a JSON object"),
        ({"outputs": [[1.0], [2.0, 3.0]]}, "is not a tensor"),
        ({"outputs": ["a"]}, "is not a tensor"),
        ([1.0], "200 without a JSON object"),
        (b"<html>", "200 without a JSON object"),
    ],
)
def test_an_answer_that_is_no_prediction_is_an_input_error(answer, message):
    with rest_server(lambda request: answer, ONE) as server:
        scorer = load_scorer(server.url)
        with pytest.raises(Unreachable, match=message) as caught:
            scorer.score(EXAMPLES)
    assert len(str(caught.value).splitlines()) == 1


REDIRECT = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "


@pytest.mark.parametrize(
    "answer",
    [
        REDIRECT + b"http://[\r\n\r\n",
        REDIRECT + b"\xff\xff\r\n\r\n",
        REDIRECT + b"http://" + b"a" * 70 + b".b/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}",
    ],
    ids=["no address", "no text", "no name", "a chunk of no size"],
)
def test_an_answer_that_is_no_http_is_no_verdict(answer, monkeypatch):
    with rest_server(_sum, ONE) as server:
        scorer = load_scorer(server.url, connection=ONCE)
        monkeypatch.setattr(_Handler, "_answer", lambda self, *_: self.wfile.write(answer))
        with pytest.raises(Nonsense, match="the answer is no HTTP"):
            scorer.score(EXAMPLES)


def test_an_answer_is_unpacked_and_parsed_no_further_than_the_bounds(monkeypatch):
    packed = gzip.compress(bytes(50_000_000))
    with rest_server(_sum, ONE) as server:
        scorer = load_scorer(server.url)
        monkeypatch.setattr(rest_scorer, "_MOST_PARSED", 3_000)
        with pytest.raises(InputError, match=r"once it is parsed.*smaller batches"):
            scorer.score({"x": np.zeros((100, 3), np.float32)})
        monkeypatch.setattr(rest_scorer, "_MOST_BYTES", 1_000_000)

        def send(self, *_):
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed)

        monkeypatch.setattr(_Handler, "_answer", send)
        tracemalloc.start()
        with pytest.raises(InputError, match=r"over 1,000,000 bytes; try smaller") as caught:
            scorer.score(EXAMPLES)
        assert type(caught.value) is InputError
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 25_000_000


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("int8", [300]),
        ("uint8", [-1]),
        ("int64", [1.5]),
        ("int32", [True]),
        ("bool", [1]),
        ("string", [1]),
        ("string", [{"b64": "!"}]),
        ("string", [{"b64": 1}]),
        ("string", [None]),
    ],
)
def test_values_beyond_their_type_are_no_answer(dtype, values):
    definition = signature_def({"x": (dtype, [-1])}, {"y": (dtype, [-1])})
    given = np.zeros(1, tf.as_dtype(dtype).as_numpy_dtype)
    with rest_server(lambda request: {"outputs": values}, definition) as server:
        scorer = load_scorer(server.url)
        with pytest.raises(Unreachable, match="the answer is not a tensor"):
            scorer.score({"x": given if dtype != "string" else np.array([b"a"], object)})


@pytest.mark.parametrize(
    "outputs",
    [{"score": [1.0]}, {"score": [1.0], "word_bytes": ["a"], "more": [1]}, [1.0], None],
)
def test_outputs_that_are_not_the_signatures_are_no_answer(outputs):
    examples = {**EXAMPLES, "word": np.array([b"a"] * 20, object)}
    with rest_server(lambda request: {"outputs": outputs}, TWO) as server:
        scorer = load_scorer(server.url)
        with pytest.raises(Unreachable, match=r"outputs|'more'|'word_bytes'"):
            scorer.score(examples)


@pytest.mark.parametrize(
    "definition",
    [
        {"inputs": {"x": {"dtype": "DT_STRANGE"}}},
        {"inputs": {"x": {"dtype": 12345}}},
        {"inputs": {"x": {"dtype": "DT_INVALID"}}},
        {"inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-7"}]}}}},
        {"inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "1e99"}]}}}},
        {"inputs": [1]},
        [1],
        None,
    ],
)
def test_metadata_that_makes_no_sense_is_an_input_error(definition, monkeypatch):
    monkeypatch.setattr(json_format, "MessageToDict", lambda *_, **__: definition)
    with rest_server(_sum, ONE) as server, pytest.raises(InputError, match="metadata"):
        load_scorer(server.url)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, InputError, "400 because"),
        (404, Unreachable, "the version that is scored is there no more .404 because"),
        (429, Busy, "turns requests away .429 because"),
        (500, Unreachable, "the server failed on a request .500 because"),
        (502, Busy, "turns requests away"),
        (504, Unreachable, "did not answer in time"),
        (403, Unreachable, "the server failed on a request .403"),
    ],
)
def test_a_status_is_told_as_what_it_is(status, kind, message, monkeypatch):
    with rest_server(_sum, ONE) as server:
        scorer = load_scorer(server.url, connection=ONCE)
        monkeypatch.setattr(
            _Handler, "_answer", lambda self, *_: self._send(status, b'{"error": "because"}')
        )
        with pytest.raises(InputError, match=message) as caught:
            scorer.score(EXAMPLES)
    assert type(caught.value) is kind


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_sends_a_byte_at_a_time_is_given_up_at_the_timeout(part):
    with rest_server(_sum, ONE) as server:
        scorer = load_scorer(server.url, connection=Connection(timeout=0.5, retries=0))
        ended = threading.Event()

        def drip(self, *_):
            if part == "body":
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
            else:
                self.wfile.write(b"HTTP/1.1 200 ")
            while not ended.wait(0.05):
                self.wfile.write(b"1")
                self.wfile.flush()

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(_Handler, "_answer", drip)
            began = time.monotonic()
            with pytest.raises(Unreachable, match="did not answer in time"):
                scorer.score(EXAMPLES)
            assert time.monotonic() - began < 10
            ended.set()
        assert scorer.score(EXAMPLES)["score"].shape == (20,)


def test_a_server_that_is_not_there_is_an_input_error():
    with pytest.raises(InputError, match="no server answers there"):
        load_scorer("http://127.0.0.1:1/v1/models/ranker", connection=ONCE)


def test_a_server_that_dies_says_how_far_it_came():
    with rest_server(_sum, ONE) as server:
        scorer = load_scorer(server.url, connection=ONCE)
    with pytest.raises(
        InputError,
        match=r"stopped at 'one at a time', in a batch of 1, after 0 of .* rows: .*no server",
    ):
        batch_invariance(scorer, EXAMPLES)


def test_a_server_that_does_not_answer_is_given_up():
    def slow(request):
        time.sleep(0.6)
        return _sum(request)

    with rest_server(slow, ONE) as server:
        scorer = load_scorer(server.url, connection=Connection(timeout=0.2))
        with pytest.raises(InputError, match="did not answer in time"):
            scorer.score(EXAMPLES)


def test_something_else_on_that_port_is_an_input_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/models/ranker"
        listener.listen()
        connection = None

        def hang_up():
            nonlocal connection
            connection, _ = listener.accept()
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(InputError, match="no server answers there"):
            load_scorer(url, connection=ONCE)
        thread.join()


def test_the_version_that_has_a_label_is_scored():
    with rest_server(_sum, ONE) as server:
        load_scorer(server.url + "/labels/stable").score(EXAMPLES)
        assert server.requests[0][0] == "/v1/models/ranker/versions/3:predict"


def test_headers_go_along():
    with rest_server(_sum, ONE) as server:
        connection = Connection(headers={"Authorization": "Bearer secret"})
        load_scorer(server.url, connection=connection).score(EXAMPLES)
        assert server.headers["Authorization"] == "Bearer secret"


def test_a_server_that_is_unavailable_for_a_while_is_asked_again():
    with rest_server(_sum, ONE) as server:
        scorer = load_scorer(server.url, connection=Connection(retries=3))
        server.unavailable = 3
        assert scorer.score(EXAMPLES)["score"].shape == (20,)
        server.unavailable = 4
        with pytest.raises(Unreachable, match="503 loading"):
            scorer.score(EXAMPLES)


def test_tls_trusts_the_certificates_it_is_given():
    with rest_server(_sum, ONE, tls=True) as server:
        trusting = Connection(certificates=CERTIFICATE, retries=0)
        scorer = load_scorer(server.url, connection=trusting)
        assert scorer.score(EXAMPLES)["score"].shape == (20,)
        with pytest.raises(InputError, match="certificate is not trusted"):
            load_scorer(server.url, connection=ONCE)
