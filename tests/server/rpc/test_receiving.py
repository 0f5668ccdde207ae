"""Clients that begin a request and send no message."""

import contextlib
import threading
import time

import grpc
import numpy as np
import pytest

from tfnorm.server import Server
from tfnorm.server import server as server_module
from tfnorm.server.rpc import receiving

X = {"x": np.float32([[0, 0]])}


@pytest.fixture
def stalling():
    """Begins so many requests that never have a message."""
    with contextlib.ExitStack() as stack:

        def begin(server, count):
            address = f"{server.host}:{server.grpc_port}"
            channel = stack.enter_context(grpc.insecure_channel(address))
            never = threading.Event()
            stack.callback(never.set)

            def requests():
                never.wait()
                yield from ()

            method = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
            return [method.future(requests()) for _ in range(count)]

        yield begin


@pytest.fixture
def server(everything_directory):
    with Server(everything_directory, "ranker", port=0, rest_port=0) as server:
        yield server


def test_clients_that_send_nothing_keep_no_other_from_its_answer(
    server, stalling, connect, eventually
):
    client = connect(server)
    stalled = stalling(server, receiving.THREADS - 1)
    eventually(lambda: count_of("tfnorm-grpc") >= len(stalled))
    assert client.predict(X).outputs
    assert client.post({"instances": [{"x": [0.0, 0.0]}]}).status_code == 200
    assert not any(one.done() for one in stalled)


def test_who_sends_nothing_for_too_long_is_cancelled(server, stalling, monkeypatch):
    monkeypatch.setattr(receiving, "MOST_SECONDS", 0.1)
    for one in stalling(server, 3):
        assert isinstance(one.exception(20), grpc.RpcError)
        assert one.code() is grpc.StatusCode.CANCELLED


@pytest.mark.slow
def test_where_those_who_send_nothing_take_all_threads_they_have_seconds(
    everything_directory, stalling, connect, monkeypatch
):
    for module in (receiving, server_module):
        monkeypatch.setattr(module, "THREADS", 4)
    monkeypatch.setattr(receiving, "_CROWDED_SECONDS", 0.1)
    with Server(everything_directory, "ranker", port=0, rest_port=0) as server:
        stalled = stalling(server, 6)
        began = time.monotonic()
        assert connect(server).predict(X).outputs
        assert time.monotonic() - began < 20
        for one in stalled[:4]:
            assert isinstance(one.exception(20), grpc.RpcError)


def test_a_request_without_a_message_is_as_an_empty_one(server):
    with grpc.insecure_channel(f"{server.host}:{server.grpc_port}") as channel:
        method = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as caught:
            method(iter(()), timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "Missing ModelSpec"


def count_of(name):
    return sum(name in thread.name for thread in threading.enumerate())
