"""The package as it is and as it was at an earlier commit, each in a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def unpack(commit: str, folder: Path) -> None:
    """Put the package as it was at a commit in a folder."""
    packed = subprocess.run(
        ["git", "archive", commit, "tfnorm"], cwd=ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")


class Package:
    """A process that has the package of a folder and runs `code`.

    The code says "ready", and then answers each line of stdin, both as JSON.
    """

    def __init__(self, folder: Path, code: str, *arguments: str):
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, question: Any) -> Any:
        """The answer to a question."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
