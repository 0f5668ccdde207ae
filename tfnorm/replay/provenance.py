"""What a report comes from: the versions of the packages, and the files of a model."""

from __future__ import annotations

import hashlib
from pathlib import Path

import keras
import tensorflow as tf

from tfnorm._start.version import __version__

_DIGITS = 12
_BLOCK = 1 << 20


def package_versions() -> dict[str, str]:
    """What scored: package -> its version."""
    return {"tfnorm": __version__, "tensorflow": tf.__version__, "keras": keras.__version__}


def fingerprint(target: str) -> str | None:
    """What tells a model's files from others, 12 digits; None of a model that is no file.

    Args:
        target: a file, or the directory of a SavedModel.
    """
    path = Path(target)
    if path.is_file():
        files = [path]
    elif (path / "saved_model.pb").is_file():
        files = [path / "saved_model.pb", *sorted((path / "variables").glob("*"))]
    else:
        return None
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:_DIGITS]
