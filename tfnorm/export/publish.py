"""Versions that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.workplace import workplace
from tfnorm.session import LAST_VERSION, check_path, version_number

# What a system that opens or syncs no folders answers; there the version is as safe as it can be.
_NO_SYNC_OF_FOLDERS = (
    errno.EACCES,
    errno.EBADF,
    errno.EINVAL,
    errno.EISDIR,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
)


def check_place(directory: str | os.PathLike[str], version: int | None) -> Path:
    """The folder of versions as a path, if `version` may be written there.

    Raises:
        InputError: it can't be a folder of versions, or `version` is taken or no positive int.
    """
    if not isinstance(directory, (str, os.PathLike)) or not str(directory):
        raise InputError(f"directory is {directory!r}; accepted: the path of a folder")
    if "://" in str(directory) or "\0" in str(directory):
        raise InputError(f"directory is {str(directory)!r}; accepted: a path on this machine")
    path = check_path(directory)
    existing = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    if not existing.is_dir():
        raise InputError(f"{existing} is not a folder; give a folder for the versions")
    if os.path.lexists(path / "saved_model.pb"):
        raise InputError(f"{path} is a SavedModel itself; give the folder of its versions")
    if version is not None:
        _check_version(path, version, _taken(path))
    return path


def publish(directory: Path, version: int | None, write: Callable[[Path], object]) -> Path:
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
        with workplace(directory, "export") as work:
            write(work)
            for path in (*work.rglob("*"), work):
                _sync(path)
            place = _move(work, directory, version)
    except OSError as error:
        raise _refused(directory, _reason(error)) from error
    except tf.errors.OpError as error:
        raise _refused(directory, error.message) from error
    try:
        _sync(directory)
    except OSError as error:
        warnings.warn(
            f"{place} is there, but would be lost if the machine failed now: {_reason(error)}",
            stacklevel=2,
        )
    return place


def _refused(directory: Path, reason: str) -> InputError:
    reason = reason.strip().splitlines()[0]
    return InputError(f"no version was added to {directory}: {reason}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _move(work: Path, directory: Path, version: int | None) -> Path:
    while True:
        taken = _taken(directory)
        number = _next(directory, taken) if version is None else version
        _check_version(directory, number, taken)
        place = directory / str(number)
        try:
            work.rename(place)
        except OSError as error:
            # Another export was faster: a folder that holds something is never replaced.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return place


def _next(directory: Path, taken: set[int]) -> int:
    newest = max(taken, default=0)
    if newest == LAST_VERSION:
        raise InputError(
            f"{directory} has a version {newest}, the highest that there is; give a number of its own"
        )
    return newest + 1


def _check_version(directory: Path, version: int, taken: set[int]) -> None:
    if isinstance(version, bool) or not isinstance(version, int) or not 0 < version <= LAST_VERSION:
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
    numbers = (version_number(path.name) for path in directory.iterdir())
    return {number for number in numbers if number is not None}


def _sync(path: Path) -> None:
    """Have what was written to a file or listed in a folder on the disk."""
    folder = path.is_dir()
    try:
        # Windows syncs no file that is open for reading alone; elsewhere it may be all that is allowed.
        descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not folder or error.errno not in _NO_SYNC_OF_FOLDERS:
            raise
