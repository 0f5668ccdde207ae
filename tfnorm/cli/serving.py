"""The packages of the extra that serving needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tfnorm.errors import InputError, installed_by


@contextlib.contextmanager
def needs_serving() -> Iterator[None]:
    """Say what to install, where what is done meanwhile finds that it is not there."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"serving needs packages that are not installed ({error}); "
            f"install them with: {installed_by('serving')}"
        ) from error
