import sys
import types

import pytest

from tfnorm._start.lazy import lazily


@pytest.fixture
def public(monkeypatch):
    module = types.ModuleType("shop._public")
    module.__all__ = ["apple", "pear"]
    module.apple, module.pear, module._seed = 1, 2, 3
    monkeypatch.setitem(sys.modules, "shop._public", module)
    return module


def test_the_names_of_a_package_are_those_of_its_public_module(public):
    get, listed = lazily("shop._public")
    assert get("apple") == 1 and get("__all__") == ["apple", "pear"]
    assert listed() == ["apple", "pear"]


@pytest.mark.parametrize("name", ["plum", "_seed", "__path__"])
def test_there_are_no_others(public, name):
    get, _ = lazily("shop._public")
    with pytest.raises(AttributeError, match=name):
        get(name)


def test_a_package_that_nobody_asks_for_a_name_imports_nothing():
    get, _ = lazily("shop._public")
    with pytest.raises(AttributeError):
        get("_private")
    with pytest.raises(ModuleNotFoundError):
        get("apple")


def test_a_room_is_imported_by_itself(monkeypatch):
    room = types.ModuleType("shop.fruit")
    monkeypatch.setitem(sys.modules, "shop.fruit", room)
    get, _ = lazily("shop._public", rooms=("fruit",))
    assert get("fruit") is room
    with pytest.raises(ModuleNotFoundError, match="shop"):
        get("apple")
