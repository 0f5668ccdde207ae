import sys

import pytest

from tfnorm._start.command_line import is_command_line


@pytest.mark.parametrize(
    ("argv", "orig_argv", "expected"),
    [
        (["/usr/bin/tfnorm", "verify"], ["python", "/usr/bin/tfnorm", "verify"], True),
        (["tfnorm.exe"], ["tfnorm.exe"], True),
        (["-m", "--help"], ["python", "-X", "dev", "-m", "tfnorm", "--help"], True),
        (["-m", "train"], ["python", "-m", "tfnorm.cli", "train"], True),
        (["-m"], ["python", "-mtfnorm"], True),
        (["-m", "tfnorm"], ["python", "-m", "pytest", "tfnorm"], False),
        (["train.py", "tfnorm"], ["python", "train.py", "tfnorm"], False),
        (["-c"], ["python", "-c", "import tfnorm"], False),
        ([""], ["python"], False),
        ([], [], False),
    ],
)
def test_the_command_line_is_told_by_how_python_was_started(argv, orig_argv, expected, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig_argv)
    assert is_command_line() is expected
