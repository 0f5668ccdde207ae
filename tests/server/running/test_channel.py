"""Messages between processes."""

import socket
import threading

import numpy as np
import pytest
from server.arrays import every_array

from tfnorm.server.running import channel
from tfnorm.server.running.channel import Channel


@pytest.fixture
def ends():
    ends = [Channel(one) for one in socket.socketpair()]
    yield ends
    for end in ends:
        end.close()


@every_array
def test_arrays_come_out_as_they_went_in(ends, array):
    here, there = ends
    here.send({"x": array})
    received = there.receive()["x"]
    np.testing.assert_array_equal(received, array, strict=True)


def test_large_arrays_come_in_many_pieces_one_after_the_other(ends):
    here, there = ends
    arrays = [np.arange(10**6, dtype=np.int64) + number for number in range(3)]
    thread = threading.Thread(target=lambda: [here.send({"x": array}) for array in arrays])
    thread.start()
    for array in arrays:
        np.testing.assert_array_equal(there.receive()["x"], array)
    thread.join()


def test_what_there_is_no_memory_for_is_passed_over(ends, monkeypatch):
    def short_of_memory(size):
        if size > 10**6:
            raise MemoryError
        return bytearray(size)

    here, there = ends
    sent = [{"x": np.zeros(10**6, np.int64)}, {"next": np.ones(1)}]
    thread = threading.Thread(target=lambda: [here.send(one) for one in sent])
    thread.start()
    with monkeypatch.context() as patched:
        patched.setattr(channel, "bytearray", short_of_memory, raising=False)
        with pytest.raises(MemoryError):
            there.receive()
    assert there.receive() == {"next": 1}
    thread.join()


def test_nothing_is_received_after_a_message_that_ends_midway(ends, monkeypatch):
    def no_more_memory(size):
        raise MemoryError

    here, there = ends
    here.send({})
    monkeypatch.setattr(channel, "bytearray", no_more_memory, raising=False)
    with pytest.raises(MemoryError):
        there.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        here.send({})


def test_an_end_that_is_closed_is_told(ends):
    here, there = ends
    here.close()
    with pytest.raises(EOFError):
        there.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        there.send({})
