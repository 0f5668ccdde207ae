"""Run the command line, in this process or in one of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request

import pytest

from tfnorm.cli import main


def run(*arguments) -> int:
    """The exit status of the command line, run here."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code


def run_apart(*arguments, python=("-m", "tfnorm"), **options) -> subprocess.CompletedProcess:
    """What the command line did in a process of its own, which has loaded nothing else."""
    return subprocess.run(
        [sys.executable, *python, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def curl(words) -> dict:
    """What curl with these arguments prints, as JSON."""
    url = next(word for word in words if "://" in word)
    data = words[words.index("-d") + 1].encode() if "-d" in words else None
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
        return json.load(answer)
