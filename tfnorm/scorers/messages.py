"""Errors of TensorFlow and Keras, each in one line."""

from __future__ import annotations

import re

import tensorflow as tf

# Where the graph was built: pages of it, ahead of what is wrong.
_ORIGIN = re.compile(r"Graph execution error:|Detected at node .*|\s*File \".*|\[Op:[^\]]*\]")


def one_line(error: Exception) -> str:
    """What went wrong, without the pages on where the graph was built."""
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return " ".join(_ORIGIN.sub("", message).split()) or type(error).__name__
