"""The memory of a process."""

import sys
import weakref

import pytest

from tfnorm.server.memory import give_back, large_blocks_apart, resident


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
