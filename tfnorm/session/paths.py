"""Where a SavedModel is, and which version it is, as TensorFlow Serving takes a folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfnorm.errors import InputError

# The highest that TensorFlow Serving takes.
LAST_VERSION = 2**63 - 1
# TensorFlow looks for the variables by a pattern that the path is part of.
_OF_PATTERNS = set("*?[]\\") - {os.sep}


def version_number(name: str) -> int | None:
    """The version that a folder of this name is to TensorFlow Serving, if it is one."""
    number = int(name) if name.isascii() and name.isdecimal() else None
    return None if number is None or number > LAST_VERSION else number


def versions(directory: str | Path) -> dict[int, Path]:
    """The complete versions in `directory`, by number, lowest first."""
    found = {
        number: path
        for path in Path(directory).glob("[0-9]*")
        if (number := version_number(path.name)) is not None and (path / "saved_model.pb").is_file()
    }
    return dict(sorted(found.items()))


def check_path(path: str | os.PathLike[str]) -> Path:
    """The path, if TensorFlow can be told it.

    Raises:
        InputError: it is no UTF-8, or the system can't look for it.
    """
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"the path {text!r} is no UTF-8, and TensorFlow takes no other; give another folder"
        ) from None
    try:
        Path(text, "saved_model.pb").stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InputError(f"the path {text!r} can't be looked for: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the path {text!r} can't be looked for: {error}") from error
    return Path(text)


def find_saved_model(directory: str | Path) -> Path:
    """The SavedModel at `directory`, or the newest of the versions in it.

    Raises:
        InputError: there is neither.
    """
    directory = check_path(directory)
    if (directory / "saved_model.pb").is_file():
        return directory
    if found := versions(directory):
        return found[max(found)]
    if not directory.exists():
        raise InputError(f"{directory} does not exist; give the directory of a SavedModel")
    raise InputError(
        f"{directory} holds no SavedModel: neither saved_model.pb nor a numbered version with one"
    )


@contextlib.contextmanager
def without_patterns(path: Path) -> Iterator[Path]:
    """`path`, or a link to it for as long as this lasts where TensorFlow could take it for a pattern."""
    if not _OF_PATTERNS & set(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "saved_model")
        link.symlink_to(path.resolve(), target_is_directory=True)
        yield link
