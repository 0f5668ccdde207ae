"""A server that is a process of its own."""

import contextlib
import logging
import os
import signal
import threading

import pytest
import requests

from tfnorm.errors import InputError
from tfnorm.server import Server, process, serve


def tfnorm_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("tfnorm")}


@pytest.fixture(autouse=True)
def started_launcher(launcher, monkeypatch):
    """The server takes the one that is there."""
    monkeypatch.setattr(process, "Launcher", lambda: contextlib.nullcontext(launcher))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_runs_until_a_signal_then_puts_everything_back(
    everything_directory, eventually, capsys, number
):
    before = tfnorm_threads()
    server = Server(everything_directory, "ranker", port=0, rest_port=0)

    def interrupt():
        eventually(lambda: server.rest_port)
        requests.get(server.rest_url, timeout=10)
        os.kill(os.getpid(), number)

    def not_mine(*_):
        pytest.fail("serve did not take the signal")

    original = signal.signal(number, not_mine)
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        serve(server)
        assert signal.getsignal(number) is not_mine
    finally:
        signal.signal(number, original)
        thread.join()
    assert not tfnorm_threads() - before
    assert "a stand-in for TensorFlow Serving" in capsys.readouterr().err
    assert not logging.getLogger("tfnorm.server").handlers


def test_a_bound_in_which_no_model_starts_is_refused(everything_directory):
    server = Server(everything_directory, "ranker", port=0, rest_port=0)
    with pytest.raises(InputError, match="max_model_megabytes is 63; it must be 64 or more"):
        serve(server, 63)


def test_a_hangup_that_the_process_is_not_to_hear_is_not_taken(everything_directory, eventually):
    server = Server(everything_directory, "ranker", port=0, rest_port=0)

    def hang_up_and_then_interrupt():
        eventually(lambda: server.rest_port)
        os.kill(os.getpid(), signal.SIGHUP)
        answered.append(requests.get(server.rest_url, timeout=10).status_code)
        os.kill(os.getpid(), signal.SIGTERM)

    answered = []
    original = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        thread = threading.Thread(target=hang_up_and_then_interrupt)
        thread.start()
        serve(server)
    finally:
        signal.signal(signal.SIGHUP, original)
        thread.join()
    assert answered == [200]


def test_an_interrupt_while_the_model_loads_is_no_error(everything_directory, monkeypatch):
    server = Server(everything_directory, "ranker", port=0, rest_port=0)

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(10)

    monkeypatch.setattr(server, "_load", interrupted)
    serve(server)


def test_an_interrupt_while_the_server_says_where_it_listens_leaves_nothing(
    everything_directory, monkeypatch
):
    before = tfnorm_threads()
    told = []

    def interrupted(handler, record):
        told.append(record.getMessage())
        if "stand-in" in told[-1]:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(logging.StreamHandler, "emit", interrupted)
    serve(Server(everything_directory, "ranker", port=0, rest_port=0))
    assert any("stand-in" in line for line in told)
    assert not tfnorm_threads() - before
