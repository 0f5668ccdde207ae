"""Versions that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf

from tfnorm.errors import InputError

# Not a number, so TensorFlow Serving does not take it for a version.
_PREFIX = ".tfnorm-export-"


def check_place(directory: str | os.PathLike, version: int | None) -> Path:
    """The folder of versions as a path, if `version` may be written there.

    Raises:
        InputError: it can't be a folder of versions, or `version` is taken or no positive int.
    """
    if not isinstance(directory, (str, os.PathLike)) or not str(directory):
        raise InputError(f"directory is {directory!r}; accepted: the path of a folder")
    if "://" in str(directory) or "\0" in str(directory):
        raise InputError(f"directory is {str(directory)!r}; accepted: a path on this machine")
    path = Path(directory)
    existing = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    if not existing.is_dir():
        raise InputError(f"{existing} is not a folder; give a folder for the versions")
    if os.path.lexists(path / "saved_model.pb"):
        raise InputError(f"{path} is a SavedModel itself; give the folder of its versions")
    if version is not None:
        _check_version(path, version, _taken(path))
    return path


def publish(directory: Path, version: int | None, write: Callable[[Path], None]) -> Path:
    """Write a version beside its place, then rename it into it.

    Args:
        directory: the folder of versions; made if it is not there.
        version: the number; None for the next free one.
        write: fills the empty folder that it is called with.

    Returns:
        `directory / str(version)`.

    Raises:
        InputError: the version has appeared meanwhile, or the file system refuses to write.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(directory)
        with _workplace(directory) as work:
            write(work)
            for path in (*work.rglob("*"), work):
                _sync(path)
            return _move(work, directory, version)
    except OSError as error:
        raise _refused(directory, error.strerror or str(error)) from error
    except tf.errors.OpError as error:
        raise _refused(directory, error.message) from error


def _refused(directory: Path, reason: str) -> InputError:
    reason = reason.strip().splitlines()[0]
    return InputError(f"no version could be written to {directory}, and none is there: {reason}")


def _move(work: Path, directory: Path, version: int | None) -> Path:
    while True:
        taken = _taken(directory)
        number = max(taken, default=0) + 1 if version is None else version
        _check_version(directory, number, taken)
        place = directory / str(number)
        try:
            work.rename(place)
        except OSError as error:
            # Another export was faster: a folder that holds something is never replaced.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            _sync(directory)
            return place


def _check_version(directory: Path, version: int, taken: set[int]) -> None:
    if isinstance(version, bool) or not isinstance(version, int) or not 0 < version < 2**63:
        raise InputError(
            f"version is {version!r}; accepted: a positive int below 2**63, or None for the next"
        )
    if version in taken:
        raise InputError(
            f"{directory} has a version {version}, and a version is never overwritten; "
            "give another number, or none for the next"
        )


def _taken(directory: Path) -> set[int]:
    """The numbers that are in use, by whatever."""
    if not directory.exists():
        return set()
    return {int(path.name) for path in directory.iterdir() if path.name.isdecimal()}


@contextlib.contextmanager
def _workplace(directory: Path) -> Iterator[Path]:
    """An empty hidden folder; while it is there, this process holds the lock beside it."""
    work = directory / f"{_PREFIX}{uuid.uuid4().hex}"
    lock = work.with_suffix(".lock")
    while True:
        file = lock.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        if lock.exists():
            break
        # Another export removed the file as abandoned before it was locked.
        file.close()
    with file:
        try:
            work.mkdir()
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _remove_abandoned(directory: Path) -> None:
    """Remove what killed exports left; one that still runs holds its lock."""
    for lock in directory.glob(f"{_PREFIX}*.lock"):
        # Gone, locked or another user's: its export has ended, goes on, or is theirs to clean up.
        passed_over = (FileNotFoundError, BlockingIOError, PermissionError)
        with contextlib.suppress(*passed_over), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
