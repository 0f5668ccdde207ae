"""What the server and a model's process tell one another."""

import numpy as np
import pytest
import tensorflow as tf
from server.arrays import every_array

from tfnorm.errors import InputError
from tfnorm.server.running.messages import Call, Loaded, OutOfMemory, Raised, packed, unpacked


def through(message):
    return unpacked([bytearray(block) for block in packed(message)])


@every_array
def test_arrays_come_out_as_they_went_in(array):
    found = through({"x": array, "": np.arange(2)})
    assert list(found) == ["x", ""]
    np.testing.assert_array_equal(found["x"], array, strict=True)
    np.testing.assert_array_equal(found[""], [0, 1])
    found["x"][...] = found["x"].copy()


def test_a_call_comes_out_as_it_went_in():
    x = np.arange(3)
    for outputs in (None, ["y", "\udcff"], []):
        found = through(Call({"\n": x}, "\udc80 name", outputs, 7))
        assert isinstance(found, Call)
        assert found[1:] == ("\udc80 name", outputs, 7)
        np.testing.assert_array_equal(found.feeds["\n"], x)


def test_what_a_process_has_loaded_comes_out_as_it_went_in():
    for loaded in (Loaded({}, 3), Loaded({"serving_default": b"\0\xff", "empty": b""}, 5)):
        assert through(loaded) == loaded


@pytest.mark.parametrize(
    "error",
    [
        InputError("no input 'y'"),
        OutOfMemory("none left"),
        RuntimeError("KeyError: 'a' at here.py:3"),
        tf.errors.NotFoundError(None, None, "gone\n\udcff"),
        tf.errors.UnknownError(None, None, ""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_with_its_type_and_cause(error):
    cause = tf.errors.InvalidArgumentError(None, None, "indices[0] = 9")
    for given in (None, cause):
        found = through(Raised(error, given))
        assert type(found.error) is type(error)
        for before, after in ((error, found.error), (given, found.cause)):
            assert getattr(after, "message", str(after)) == getattr(before, "message", str(before))
            assert getattr(after, "error_code", None) == getattr(before, "error_code", None)


def test_a_more_special_error_comes_out_as_what_it_is_a_kind_of():
    class Special(InputError):
        pass

    assert type(through(Raised(Special("bad"))).error) is InputError
