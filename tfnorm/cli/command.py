"""A command, which loads TensorFlow when it runs and not for its help."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tfnorm.cli.custom import load_custom
from tfnorm.errors import InputError


class Command(click.Command):
    """A command whose work, unlike its help, needs TensorFlow and Keras."""

    def invoke(self, context: click.Context) -> Any:
        load_library()
        load_custom(context)
        return super().invoke(context)


def load_library() -> None:
    """Load TensorFlow, Keras and all of tfnorm, without what TensorFlow says meanwhile."""
    with _quiet():
        try:
            import tfnorm._start.backend
        except ImportError as error:
            raise InputError(str(error)) from error
        import tensorflow as tf

        import tfnorm._public  # noqa: F401
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what is written to stderr meanwhile; TensorFlow's libraries log before they can be told not to."""
    if sys.stderr is None:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
