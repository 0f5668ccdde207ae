"""Answers to clients that read them, slowly or not at all."""

import asyncio
from types import SimpleNamespace

import pytest

from tfnorm.server.budget import Budget, Share
from tfnorm.server.rest import sent
from tfnorm.server.rest.sent import Sent

SCOPE = {"type": "http", "method": "POST", "extensions": {}}


@pytest.fixture
def share():
    share = Share(Budget(10**6))
    share.take(10**6)
    return share


def answer(text, share, send):
    asyncio.run(Sent(text, share)(SCOPE, None, send))


@pytest.mark.parametrize("size", [10, 10**6])
def test_an_answer_is_sent_whole_and_then_counts_no_more(share, size):
    text = bytes(range(10)) * (size // 10)
    seen = SimpleNamespace(messages=[], taken=set())

    async def send(message):
        seen.messages.append(message)
        seen.taken.add(share.taken)

    answer(text, share, send)
    first, *bodies = seen.messages
    assert first["status"] == 200
    assert (b"content-length", str(size).encode()) in first["headers"]
    assert b"".join(body["body"] for body in bodies) == text
    assert [body.get("more_body", False) for body in bodies] == [True] * (len(bodies) - 1) + [False]
    assert seen.taken == {10**6}
    assert share.taken == 0


def test_a_client_that_does_not_read_has_no_memory_for_ever(share, monkeypatch):
    monkeypatch.setattr(sent, "MOST_SECONDS", 0.05)
    taken = []

    async def send(message):
        taken.append(len(message.get("body", b"")))
        if len(taken) > 2:
            await asyncio.Event().wait()

    answer(bytes(10**6), share, send)
    assert sum(taken) < 10**6
    assert share.taken == 0


def test_a_client_that_is_gone_has_no_memory(share):
    async def send(message):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        answer(bytes(10**6), share, send)
    assert share.taken == 0
