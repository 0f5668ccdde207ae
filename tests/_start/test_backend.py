"""Importing it checks on which Keras tfnorm runs; the Keras here is played."""

import runpy
import sys
import types

import pytest

from tfnorm._start import backend


def imported():
    return runpy.run_path(backend.__file__)


def keras_of(name):
    keras = types.ModuleType("keras")
    keras.backend = types.SimpleNamespace(backend=lambda: name)
    return keras


def test_keras_on_tensorflow_is_imported(monkeypatch):
    keras = keras_of("tensorflow")
    monkeypatch.setitem(sys.modules, "keras", keras)
    assert imported()["keras"] is keras


def test_another_backend_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", keras_of("jax"))
    with pytest.raises(
        ImportError, match=r"the backend here is 'jax'\. Set KERAS_BACKEND=tensorflow"
    ):
        imported()


def test_a_keras_that_fails_to_import_is_told_with_its_reason(monkeypatch):
    """As it does where the backend that KERAS_BACKEND names isn't installed."""

    class Failing:
        def find_spec(self, name, path=None, target=None):
            if name == "keras":
                raise ImportError("No module named 'torch'")

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(sys, "meta_path", [Failing(), *sys.meta_path])
    with pytest.raises(
        ImportError, match=r"failed: No module named 'torch'\. Set KERAS_BACKEND"
    ) as caught:
        imported()
    assert isinstance(caught.value.__cause__, ImportError)
