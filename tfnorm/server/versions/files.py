"""Whether the files of a version have changed."""

from __future__ import annotations

import contextlib
from pathlib import Path

Fingerprint = frozenset[tuple[Path, int, int]]
"""The files of a version, with their sizes and times."""


def fingerprint(path: Path) -> Fingerprint:
    """The files below `path` with their sizes and times: it changes while they are written."""
    found: set[tuple[Path, int, int]] = set()
    # They may go while one looks, folders too.
    with contextlib.suppress(OSError):
        for file in path.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                stat = file.lstat()
                found.add((file, stat.st_size, stat.st_mtime_ns))
    return frozenset(found)
