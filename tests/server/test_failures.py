import logging

import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server.failures import Failure, described, explained


def raised(error):
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (InputError("x is\n 1"), Failure(tf.errors.INVALID_ARGUMENT, "x is 1")),
        (
            tf.errors.UnavailableError(None, None, "Graph execution error:\n\nfull"),
            Failure(tf.errors.UNAVAILABLE, "full"),
        ),
        (
            MemoryError(),
            Failure(tf.errors.RESOURCE_EXHAUSTED, "the server has not the memory for this request"),
        ),
    ],
)
def test_what_the_caller_can_have_caused_is_told_and_not_logged(error, failure, caplog):
    assert explained(raised(error), "Predict") == failure
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyError("secret"), tf.errors.INTERNAL, "failed on this request (KeyError)"),
        (tf.errors.InternalError(None, None, ""), tf.errors.INTERNAL, "InternalError"),
        (tf.errors.UnknownError(None, None, "a\nb"), tf.errors.UNKNOWN, "a b"),
    ],
)
def test_what_it_can_not_is_one_line_in_the_log_with_the_place(error, code, message, caplog):
    failure = explained(raised(error), "Predict")
    assert failure.code == code
    assert message in failure.message
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Predict failed" in record.getMessage()
    assert "test_failures.py:" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_description_is_bounded():
    assert len(described(InputError("x" * 10**6))) == 2000
