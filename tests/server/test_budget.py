"""What all requests take together."""

import contextlib
import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.server import Server, budget
from tfnorm.server import server as server_module
from tfnorm.server.budget import Budget, Share
from tfnorm.server.rest import body

ONE = 2**20
LARGE = 3 * ONE


@pytest.fixture
def most():
    return Budget(ONE)


def test_one_request_goes_beyond_what_all_may_take_and_the_others_wait(most, eventually):
    first, second, third = (Share(most) for _ in range(3))
    first.take(LARGE)
    second.take(LARGE)
    second.take(LARGE)
    assert most.taken == 3 * LARGE
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(third.take, LARGE)
        assert not third.is_granted()
        first.close()
        assert not waiting.done()
        second.close()
        waiting.result(20)
    assert most.taken == LARGE
    third.close()
    assert most.taken == 0


def test_what_is_little_is_counted_once_it_adds_up(most):
    full, share = Share(most), Share(most)
    full.take(4 * ONE)
    share.want(2**15)
    assert share.is_granted()
    share.want(2**15)
    assert not share.is_granted()
    full.close()
    assert share.is_granted()
    assert share.taken == 2**16
    share.close()


def test_a_request_that_waits_too_long_is_turned_away(most, monkeypatch):
    monkeypatch.setattr(budget, "MOST_SECONDS", 0.05)
    first, second = Share(most), Share(most)
    first.take(6 * ONE)
    with pytest.raises(tf.errors.ResourceExhaustedError, match=r"4 MB .*--max-request-megabytes"):
        second.take(ONE)
    second.close()
    assert most.taken == 6 * ONE
    first.close()
    second.take(ONE)
    assert most.taken == ONE


def test_arrays_take_what_they_have_as_tensors(most):
    share = Share(most)
    arrays = {"x": np.zeros(ONE // 8), "text": np.array([b"a" * 76] * 100, object)}
    share.take_arrays(arrays, 2)
    assert most.taken == 2 * (ONE + 10_000)
    share.close()


def test_many_requests_that_grow_all_end(most):
    peak = []

    def grow(_):
        share = Share(most)
        try:
            for _ in range(4):
                share.take(ONE)
                peak.append(most.taken)
        finally:
            share.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(grow, range(100)))
    assert most.taken == 0
    assert most.beyond is None
    assert max(peak) <= 8 * ONE


def test_a_share_that_is_closed_wakes_who_waits(most):
    first, second = Share(most), Share(most)
    first.take(5 * ONE)
    closing = threading.Timer(0.05, first.close)
    closing.start()
    second.take(5 * ONE)
    assert most.beyond is second
    closing.join()


@pytest.fixture
def small(everything_directory, connect, monkeypatch):
    """A server whose requests may take four megabytes together, its budget and a client."""
    monkeypatch.setattr(server_module, "Budget", lambda _: small.budget)
    small = SimpleNamespace(budget=Budget(ONE))
    with Server(
        everything_directory, "ranker", port=0, rest_port=0, max_request_bytes=ONE
    ) as server:
        small.server = server
        small.client = connect(server)
        yield small


@pytest.mark.slow
def test_what_requests_took_is_given_back_over_both_apis(small, eventually):
    text = np.array([b"x" * 1_000] * 200, object)
    for _ in range(30):
        small.client.predict({"x": text}, signature="echo_bytes")
        answer = small.client.post({"signature_name": "echo_string", "inputs": ["x" * 1_000] * 200})
        assert answer.status_code == 200
        refused = small.client.post({"inputs": ["x" * 1_000] * 200})
        assert refused.status_code == 400
    eventually(lambda: small.budget.taken == 0)


@pytest.mark.slow
def test_clients_that_stop_midway_keep_no_memory_and_no_small_request_waits(
    small, eventually, monkeypatch
):
    monkeypatch.setattr(body, "MOST_SECONDS", 1.0)
    head = (
        f"POST /v1/models/ranker:predict HTTP/1.1\r\nHost: a\r\nContent-Length: {ONE}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(
                socket.create_connection((small.server.host, small.server.rest_port), timeout=20)
            )
            for _ in range(6)
        ]
        with ThreadPoolExecutor(len(clients)) as pool:
            sending = [pool.submit(one.sendall, head + b" " * (ONE - 1)) for one in clients]
            eventually(lambda: small.budget.taken > 3.5 * ONE)
            assert small.budget.taken <= small.budget.most
            assert small.client.post({"instances": [{"x": [1.0, 2.0]}]}).status_code == 200
            for one in clients:
                response = http.client.HTTPResponse(one)
                response.begin()
                assert response.status == 504
                assert b"was not there after 1 seconds" in response.read()
            for one in sending:
                one.exception(20)
    eventually(lambda: small.budget.taken == 0)
