"""The packages of the extra that serving needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tfnorm.errors import InputError


@contextlib.contextmanager
def needs_serving() -> Iterator[None]:
    """Say what to install, where what is done meanwhile finds that it is not there."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"serving needs packages that are not installed ({error}); "
            "install them with: pip install 'tfnorm[serving]'"
        ) from error
