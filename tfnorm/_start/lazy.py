"""Packages whose names are imported when the first is asked for, for those who ask for none."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection


def lazily(
    module: str, rooms: Collection[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package whose names are the public ones of `module`.

    Args:
        module: the package's `_public`, which imports them and lists them in `__all__`.
        rooms: those among them that are modules of the package, and each imported by itself.
    """
    package = module.rpartition(".")[0]

    def __getattr__(name: str) -> object:
        if name in rooms:
            return importlib.import_module(f"{package}.{name}")
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(module), name)

    def __dir__() -> list[str]:
        return list(importlib.import_module(module).__all__)

    return __getattr__, __dir__
