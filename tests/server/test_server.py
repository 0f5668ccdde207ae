"""Starting and stopping."""

import logging
import os
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import requests

from tfnorm.errors import InputError
from tfnorm.server import BatchingParameters, Server
from tfnorm.session import SavedModel

X = np.zeros((1, 2), np.float32)


def tfnorm_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("tfnorm")}


@pytest.fixture
def start(everything_directory):
    """Starts a server on free ports."""
    started = []

    def start(**options):
        server = Server(everything_directory, "ranker", **{"port": 0, "rest_port": 0, **options})
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def test_both_ports_answer_until_the_server_stops(start, connect):
    server = start()
    client = connect(server)
    assert server.grpc_url == f"grpc://127.0.0.1:{server.grpc_port}/ranker"
    assert server.rest_url == f"http://127.0.0.1:{server.rest_port}/v1/models/ranker"
    assert client.predict({"x": X}).model_spec.version.value == 3
    assert client.get().status_code == 200
    server.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.rest_url, timeout=5)
    with pytest.raises(grpc.RpcError) as caught:
        client.predict({"x": X})
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_stopping_is_quick_with_idle_connections_and_leaves_no_thread(start, connect):
    before = tfnorm_threads()
    server = start()
    sessions = [requests.Session() for _ in range(3)]
    for session in sessions:
        assert session.get(server.rest_url, timeout=5).status_code == 200
    client = connect(server)
    client.predict({"x": X})
    assert tfnorm_threads() - before
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 2
    assert not tfnorm_threads() - before
    for session in sessions:
        session.close()


@pytest.fixture
def runs(monkeypatch):
    """Counts the runs that were begun, and lets each begin when `go` is set."""
    runs = SimpleNamespace(begun=[], go=threading.Event())
    run = SavedModel.run

    def counted(*arguments, **options):
        runs.begun.append(arguments)
        assert runs.go.wait(timeout=30)
        return run(*arguments, **options)

    monkeypatch.setattr(SavedModel, "run", counted)
    return runs


def test_stopping_does_not_wait_for_a_request_that_takes_long(start, connect, runs, eventually):
    before = tfnorm_threads()
    client = connect(server := start())
    runs.go.set()

    def ask():
        with pytest.raises(grpc.RpcError) as caught:
            client.predict({"steps": np.array(10**8, np.int32)}, signature="slow")
        return caught.value.code()

    def post():
        return client.post({"signature_name": "slow", "inputs": 10**8}).status_code

    with ThreadPoolExecutor() as pool:
        asked, posted = pool.submit(ask), pool.submit(post)
        eventually(lambda: len(runs.begun) == 2)
        time.sleep(0.2)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5
        assert asked.result(timeout=10) is grpc.StatusCode.UNAVAILABLE
        assert posted.result(timeout=10) == 503
    assert not tfnorm_threads() - before


@pytest.fixture
def patient(monkeypatch):
    """Gives requests in flight longer than a second, for machines that are busy."""
    monkeypatch.setattr("tfnorm.server.server._GRACE", 20)


def test_requests_in_flight_are_answered_while_the_server_stops(
    start, connect, runs, eventually, patient
):
    client = connect(server := start())
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(client.predict, {"x": X})
        posted = pool.submit(client.post, {"instances": X.tolist()})
        eventually(lambda: len(runs.begun) == 2)
        stopped = pool.submit(server.stop)
        time.sleep(0.2)
        runs.go.set()
        assert asked.result(timeout=20).outputs["score"].float_val == [0.5]
        assert posted.result(timeout=20).json() == {"predictions": [0.5]}
        stopped.result(timeout=30)


@pytest.mark.parametrize("rest", [False, True])
def test_what_waits_in_a_batch_is_answered_when_the_server_stops(
    start, connect, rest, eventually, patient
):
    batching = BatchingParameters(max_batch_size=10, batch_timeout_micros=60_000_000)
    client = connect(server := start(batching=batching))
    with ThreadPoolExecutor() as pool:
        if rest:
            asked = pool.submit(client.post, {"instances": X.tolist()})
        else:
            asked = pool.submit(client.predict, {"x": X})
        eventually(lambda: any("tfnorm-request" in t.name for t in tfnorm_threads()))
        time.sleep(0.2)
        server.stop()
        answer = asked.result(timeout=20)
    if rest:
        assert answer.json() == {"predictions": [0.5]}
    else:
        assert answer.outputs["score"].float_val == [0.5]


def test_a_server_that_was_stopped_starts_again(start, connect):
    server = start()
    server.stop()
    server.start()
    assert connect(server).predict({"x": X}).outputs
    waiting = threading.Thread(target=server.wait)
    waiting.start()
    time.sleep(0.05)
    assert waiting.is_alive()
    server.stop()
    waiting.join(timeout=5)
    assert not waiting.is_alive()


def test_stopping_twice_or_before_the_start_does_nothing(everything_directory):
    server = Server(everything_directory, "ranker", port=0, rest_port=0)
    server.stop()
    with server:
        server.stop()
    server.stop()


def test_the_same_ports_can_be_used_again_at_once(start, connect):
    first = start()
    client = connect(first)
    assert client.predict({"x": X}).outputs
    assert client.get().status_code == 200
    first.stop()
    client = connect(start(port=first.grpc_port, rest_port=first.rest_port))
    assert client.predict({"x": X}).outputs
    assert client.get().status_code == 200


def test_a_rest_answer_does_not_wait_for_a_delayed_acknowledgement(start, connect):
    client = connect(start())
    times = []
    for _ in range(60):
        began = time.monotonic()
        assert client.post({"instances": [[0, 0]]}).status_code == 200
        times.append(time.monotonic() - began)
    # Linux acknowledges a connection's first packets at once, and then after 40 ms.
    assert sorted(times[30:])[5] < 0.035


def test_wait_returns_when_the_server_stops(start):
    server = start()
    waiting = threading.Thread(target=server.wait)
    waiting.start()
    time.sleep(0.05)
    assert waiting.is_alive()
    server.stop()
    waiting.join(timeout=5)
    assert not waiting.is_alive()


def test_a_port_in_use_is_one_error_and_leaves_nothing_running(start):
    running = start()
    before = tfnorm_threads()
    with pytest.raises(InputError, match=f"127.0.0.1:{running.grpc_port}: Address already in use"):
        start(port=running.grpc_port)
    with pytest.raises(InputError, match=f"127.0.0.1:{running.rest_port}: Address already in use"):
        start(rest_port=running.rest_port)
    assert not tfnorm_threads() - before
    for port in (running.grpc_port, running.rest_port):
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"host": "no.such.host.invalid"}, "no.such.host.invalid"),
        ({"port": 70_000}, "port 70000"),
        ({"rest_port": -1}, "port -1"),
        ({"max_request_bytes": 0}, "max_request_bytes is 0"),
        ({"max_request_bytes": 2**31}, "max_request_bytes is 2147483648"),
    ],
)
def test_an_option_that_can_not_be_is_one_error(start, options, reason):
    with pytest.raises(InputError, match=reason):
        start(**options)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a b", "é"])
def test_a_name_that_requests_can_not_give_is_refused(everything_directory, name):
    with pytest.raises(InputError, match="name"):
        Server(everything_directory, name)


def test_a_directory_without_versions_is_one_error(everything_directory, tmp_path):
    for directory, reason in [
        (tmp_path, "holds no SavedModel"),
        (tmp_path / "nothing", "does not exist"),
        (everything_directory / "3", "the directory above it"),
    ]:
        with pytest.raises(InputError, match=reason):
            Server(directory, "ranker", port=0, rest_port=0).start()


def test_the_log_says_what_the_server_is(start, caplog):
    with caplog.at_level(logging.INFO, "tfnorm.server"):
        server = start()
    assert "a stand-in for TensorFlow Serving" in caplog.text
    assert server.grpc_url in caplog.text
    assert server.rest_url in caplog.text


def test_connections_for_which_there_is_no_descriptor_are_one_line_in_the_log(
    start, caplog, eventually
):
    server = start()
    assert requests.get(server.rest_url, timeout=20).status_code == 200
    clients = [socket.socket() for _ in range(3)]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The lowest number that is free is the next one to be given.
    free = os.dup(clients[0].fileno())
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
        for client in clients:
            client.connect((server.host, server.rest_port))
        eventually(lambda: "Too many open files" in caplog.text)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 2
    for client in clients:
        client.close()
    (line,) = [record.getMessage() for record in caplog.records if "REST" in record.getMessage()]
    assert line.startswith("the REST API goes on after an error: socket.accept()")
    assert "\n" not in line
    assert "Traceback" not in caplog.text
