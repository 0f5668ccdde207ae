"""What went wrong in a call, as both APIs say it: a code and one line."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.messages import one_line, raised_at

_log = logging.getLogger(__name__)
# Characters of a message.
_LONGEST = 2000
# What the caller can't have caused.
_OURS = frozenset({tf.errors.UNKNOWN, tf.errors.INTERNAL, tf.errors.DATA_LOSS})


@dataclass(frozen=True)
class Failure:
    """A status code of TensorFlow's and gRPC's, and one line that says why."""

    code: int
    message: str


def explained(error: Exception, call: str) -> Failure:
    """The failure that `error` is to whoever made the call; one that is not theirs is logged.

    Args:
        error: what was raised.
        call: what was called, for the log.
    """
    failure = _explained(error)
    if failure.code in _OURS:
        reason = f"{described(error)}{raised_at(error)}"
        _log.error("%s failed: %s (%s)", call, failure.message, reason)
    return failure


def described(error: Exception) -> str:
    """An error in one line of bounded length, with its type where the message alone may say little."""
    message = one_line(error)[:_LONGEST]
    expected = isinstance(error, InputError | tf.errors.OpError)
    return message if expected else f"{type(error).__name__}: {message}"


def _explained(error: Exception) -> Failure:
    if isinstance(error, InputError):
        return Failure(tf.errors.INVALID_ARGUMENT, described(error))
    if isinstance(error, tf.errors.OpError):
        return Failure(error.error_code, described(error))
    if isinstance(error, MemoryError):
        return Failure(
            tf.errors.RESOURCE_EXHAUSTED, "the server has not the memory for this request"
        )
    reason = f"the server failed on this request ({type(error).__name__}); its log says where"
    return Failure(tf.errors.INTERNAL, reason)
