"""The log of the server's other processes."""

import os

import pytest

from tfnorm.server.running import log
from tfnorm.server.running.log import Log

LINES = """\
2026-01-02 03:04:05.678901: W tensorflow/core/framework/op_kernel.cc:1857] UNKNOWN: KeyError: 'a'
Traceback (most recent call last):

  File "script_ops.py", line 270, in __call__
    ret = func(*args)

KeyError: 'a'

\t [[{{node PyFunc}}]]
terminate called after throwing an instance of 'std::bad_alloc'
Traceback (most recent call last):
  File "worker.py", line 1, in <module>
SystemError: broken
"""


@pytest.fixture
def logged(capfd):
    def logged():
        with Log() as one:
            os.write(one.descriptor, LINES.encode())
        one.join()
        assert one.tail == LINES.encode()
        return capfd.readouterr().err.splitlines()

    return logged


def test_the_frames_of_an_op_in_python_are_left_out(logged, monkeypatch):
    monkeypatch.setenv(log.LEVEL, "0")
    lines = logged()
    assert "UNKNOWN: KeyError: 'a'" in lines[0]
    assert [line for line in lines if "script_ops" in line or "ret = func" in line] == []
    assert [line for line in lines if line.startswith("KeyError")] == []
    assert lines[-4:] == LINES.splitlines()[-4:]


def test_a_quiet_server_passes_on_what_is_not_tensorflows(logged, monkeypatch):
    monkeypatch.setenv(log.LEVEL, "2")
    assert logged() == LINES.splitlines()[-4:]
