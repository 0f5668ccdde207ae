"""A server that is a process of its own."""

import logging
import mmap
import os
import signal
import sys
import threading
import weakref
from pathlib import Path

import pytest
import requests

from tfnorm.server import Server, serve
from tfnorm.server.process import give_back, large_blocks_apart


def tfnorm_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("tfnorm")}


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


@pytest.mark.parametrize("given", [64, None])
def test_the_models_are_bounded_when_they_are_loaded(given, everything_directory, monkeypatch):
    class Started(Exception):
        pass

    def start(_):
        bound = os.environ.get("TF_CPU_BFC_MEM_LIMIT_IN_MB")
        assert bound == (None if given is None else str(given))
        raise Started

    monkeypatch.setattr(Server, "start", start)
    with pytest.raises(Started):
        serve(Server(everything_directory, "ranker", port=0, rest_port=0), given)
    assert "TF_CPU_BFC_MEM_LIMIT_IN_MB" not in os.environ


def resident():
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what is freed")
def test_what_requests_have_taken_is_given_back():
    """What is freed between others stays with the process otherwise."""
    give_back()
    before = resident()
    held = [bytes(60_000) for _ in range(4_000)]
    # One in a hundred goes on being needed, so that no arena is empty.
    held = held[::100]
    kept = resident() - before
    give_back()
    assert resident() - before < min(kept / 2, 60 * 2**20)
    assert len(held) == 40


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what is freed")
def test_what_is_large_is_given_back_when_it_is_freed():
    size = 20 * 2**20
    # From here on, glibc has blocks of that size lie between small ones.
    len(b"x" * size)
    large_blocks_apart()
    before = resident()
    held = [(b"x" * size, bytes(60_000)) for _ in range(5)]
    assert resident() - before > 4 * size
    held = [small for _, small in held]
    assert resident() - before < size
    assert len(held) == 5


def test_what_is_left_in_a_circle_is_freed():
    class Held:
        pass

    held = Held()
    held.itself = held
    seen = weakref.ref(held)
    del held
    give_back()
    assert seen() is None
