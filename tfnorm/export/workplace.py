"""Hidden folders to write in, which the next export cleans up if this one is killed."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# What a file system without locks answers.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def workplace(directory: Path, purpose: str) -> Iterator[Path]:
    """An empty folder on the file system of what it is for, to be renamed into its place when it is full.

    What killed processes have left in `directory` for the same purpose is removed. A process that still
    runs holds the lock beside its folder, which the system takes back whenever and however it ends.
    Where the file system has no locks, nothing but a folder without its lock file is removed.

    Args:
        directory: where the folder is made, and where what it becomes goes; it must be there.
        purpose: part of the folder's name, which starts with a dot and is no number, so that
            TensorFlow Serving does not take it for a version.
    """
    prefix = f".tfnorm-{purpose}-"
    _remove_abandoned(directory, prefix)
    work, file = _locked(directory, prefix)
    try:
        work.mkdir()
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        _unlock(file)


def _locked(directory: Path, prefix: str) -> tuple[Path, IO[str]]:
    """The path for a new folder, and the file beside it, whose lock this process now holds."""
    while True:
        work = directory / f"{prefix}{uuid.uuid4().hex}"
        lock = _lock_of(work)
        file = lock.open("w")
        try:
            _lock(file, wait=True)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
        if lock.exists():
            return work, file
        # Another process removed the file as abandoned before it was locked.
        file.close()


def _remove_abandoned(directory: Path, prefix: str) -> None:
    left = [path for path in directory.glob(f"{prefix}*") if path.suffix != ".lock"]
    for lock in directory.glob(f"{prefix}*.lock"):
        # Gone, locked or another user's: its process has ended, goes on, or is theirs to clean up.
        with contextlib.suppress(OSError):
            file = lock.open("r+")
            try:
                _lock(file, wait=False)
            except OSError:
                file.close()
                continue
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            _unlock(file)
    # A folder that is written to has had its lock file since before it was made.
    for path in left:
        if not _lock_of(path).exists():
            shutil.rmtree(path, ignore_errors=True)


def _lock_of(work: Path) -> Path:
    return work.with_name(f"{work.name}.lock")


def _lock(file: IO[str], *, wait: bool) -> None:
    """Lock an open file for this process; OSError where another one has it and `wait` is not set."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(file: IO[str]) -> None:
    """Remove a lock file and let go of it."""
    lock = Path(file.name)
    # Removed while it is held, so that nobody locks it in between. Windows removes no open file, but
    # neither one that somebody has opened meanwhile.
    with contextlib.suppress(OSError):
        lock.unlink()
    file.close()
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
