"""Errors of TensorFlow and Keras, each in one line."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import tensorflow as tf

# Where the graph was built, pages of it, ahead of what is wrong; and what Keras puts around that.
_AROUND = re.compile(
    r"Graph execution error:|Detected at node .*|\s*File \".*|\[Op:[^\]]*\]|\[\[\{\{.*?\}\}\]\]"
    r"|on /job:\S* by allocator \S+|Hint: If you want to see a list of allocated tensors.*"
    r"|\x1b\[\d*m|Exception encountered when calling .*|Arguments received by .*(\n +•.*)*"
)


def one_line(error: Exception) -> str:
    """What went wrong, without the pages on where the graph was built and how it was called."""
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return " ".join(_AROUND.sub("", message).split()) or type(error).__name__


def raised_at(error: Exception) -> str:
    """Where in Python an error was raised, to stand behind what it says; nothing where that isn't known."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
