"""Requests whose clients have gone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from server.clients import client_of

from tfnorm.server import Server, waiting
from tfnorm.server import server as server_module
from tfnorm.server.budget import Budget, Share
from tfnorm.server.running.isolated import IsolatedModel

ONE = 2**20
TEXT = ["x" * 1_000] * 200


def test_a_thread_works_for_one_client_at_a_time():
    gone = threading.Event()
    with waiting.until(gone):
        waiting.check()
        gone.set()
        with pytest.raises(tf.errors.CancelledError, match="the client has given this request up"):
            waiting.check()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(waiting.check).result()
    waiting.check()


def test_a_request_that_waits_for_memory_ends_when_its_client_goes():
    budget = Budget(ONE)
    full, share = Share(budget), Share(budget)
    full.take(5 * ONE)

    def take():
        with waiting.until(share.gone):
            share.take(ONE)

    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(take)
        assert not taking.done()
        share.leave()
        assert isinstance(taking.exception(20), tf.errors.CancelledError)
    assert share.taken == 0
    full.close()
    assert budget.taken == 0


@pytest.mark.slow
@pytest.mark.parametrize("rest", [False, True])
def test_over_both_apis_a_request_ends_when_its_client_goes(
    everything_directory, rest, eventually, monkeypatch
):
    budget = Budget(ONE)
    monkeypatch.setattr(server_module, "Budget", lambda _: budget)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.02)
    waits = budget.changed._waiters
    full = Share(budget)
    # Enough for the body, and for nothing that is made of it.
    full.take(4 * ONE - 300_000)
    budget.beyond = full
    opened = []
    with Server(everything_directory, "ranker", port=0, rest_port=0) as server:
        client = client_of(server, opened, 2.0)
        with ThreadPoolExecutor(1) as pool:
            if rest:
                asked = pool.submit(client.post, {"signature_name": "echo_string", "inputs": TEXT})
            else:
                feeds = {"x": np.array(TEXT, object)}
                asked = pool.submit(client.predict, feeds, signature="echo_string")
            eventually(lambda: waits)
            assert isinstance(asked.exception(20), grpc.RpcError | requests.Timeout)
        for one in opened:
            one.close()
        eventually(lambda: not waits and budget.taken == full.taken)
        full.close()
    assert budget.taken == 0


def test_what_failed_is_not_repeated_for_a_client_that_is_gone(hungry_directory, launcher):
    gone = threading.Event()
    feeds = {"values": np.array(10**10)}
    with closing(IsolatedModel(hungry_directory, launcher, 160 * ONE)) as model:
        model._one_by_one.acquire()

        def run():
            with waiting.until(gone):
                return model.run(feeds, signature="fill", max_bytes=ONE)

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run)
            gone.set()
            assert isinstance(running.exception(20), tf.errors.CancelledError)
        assert model._one_by_one.locked()
        model._one_by_one.release()
        assert len(model._started) == 1
