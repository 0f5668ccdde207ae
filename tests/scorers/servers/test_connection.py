import threading

import pytest

from tfnorm.errors import InputError
from tfnorm.scorers.servers.connection import Busy, Connection


def test_a_busy_server_is_asked_again_after_waits_that_double(monkeypatch):
    waits, answers = [], [Busy("no"), Busy("no"), Busy("no"), "yes"]
    monkeypatch.setattr("time.sleep", waits.append)

    def request():
        answer = answers.pop(0)
        if isinstance(answer, Busy):
            raise answer
        return answer

    assert Connection(retries=3).ask(request) == "yes"
    assert waits == [0.1, 0.2, 0.4]


def test_what_a_server_refuses_is_not_asked_again():
    asked = []

    def request():
        asked.append(1)
        raise InputError("never")

    with pytest.raises(InputError, match="never"):
        Connection().ask(request)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"retries": -1}, "retries is -1"),
        ({"max_message_bytes": 0}, "max_message_bytes is 0"),
        ({"certificates": "nowhere.pem"}, r"nowhere\.pem does not exist"),
        ({"headers": {"a b": "c"}}, "header 'a b' is no name"),
        ({"headers": {"": "c"}}, "header '' is no name"),
        ({"headers": {"a": "b\r\nc: d"}}, "header 'a' has a value"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Connection(**options)


def test_an_answer_is_waited_for_no_longer_than_the_timeout():
    ended = threading.Event()
    with pytest.raises(TimeoutError):
        Connection(timeout=0.05).within(lambda: ended.wait(20))
    ended.set()
    assert Connection().within(lambda: 3) == 3


def test_what_a_request_raises_is_raised_where_it_is_waited_for():
    def request():
        raise KeyError("a")

    with pytest.raises(KeyError, match="a"):
        Connection().within(request)
