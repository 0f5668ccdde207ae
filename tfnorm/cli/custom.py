"""Code of one's own that a `.keras` file needs: it runs where it is named, and never otherwise."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

import click

from tfnorm.errors import InputError

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_IMPORTS, _OBJECTS = "tfnorm.imports", "tfnorm.custom_objects"


def custom_options(command: _Decorated) -> _Decorated:
    """The options that name the code which a command's `.keras` files need."""
    for option in (
        click.option(
            "--custom-object",
            multiple=True,
            metavar="NAME=MODULE:CLASS",
            expose_value=False,
            callback=_kept(_OBJECTS),
            help="A class or function that a .keras file names. It may be repeated.",
        ),
        click.option(
            "--import",
            multiple=True,
            metavar="MODULE",
            expose_value=False,
            callback=_kept(_IMPORTS),
            help="A module that registers what a .keras file needs. It may be repeated.",
        ),
    ):
        command = option(command)
    return command


def load_custom(context: click.Context) -> None:
    """Import what the options name, from this folder too, as `python -m` would.

    Raises:
        InputError: there is no such module, it fails, or it has nothing of that name.
    """
    custom_setup(context)()


def custom_setup(context: click.Context) -> Callable[[], None]:
    """What imports what the options name, in any process that sees this folder."""
    here = os.getcwd()  # noqa: PTH109 - as sys.path has it
    given = (context.meta.get(key, ()) for key in (_IMPORTS, _OBJECTS))
    return partial(_load, here, *given)


def _load(here: str, imports: tuple[str, ...], objects: tuple[str, ...]) -> None:
    for name in imports:
        _imported(here, name, "--import")
    for given in objects:
        name, _, place = given.partition("=")
        module, _, attribute = place.partition(":")
        if not (name and module and attribute):
            raise InputError(f"--custom-object is {given!r}; accepted: NAME=MODULE:CLASS")
        found = getattr(_imported(here, module, "--custom-object"), attribute, None)
        if not callable(found):
            raise InputError(
                f"--custom-object {given}: module {module!r} has no class {attribute!r}"
            )
        import keras

        keras.saving.get_custom_objects()[name] = found


def _kept(key: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], None]:
    def keep(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> None:
        context.meta[key] = given

    return keep


def _imported(here: str, name: str, option: str) -> ModuleType:
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    # Whatever the module does, it is what was asked for; one that exits would end this as if it had passed.
    except (Exception, SystemExit) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{option} {name} can't be imported: {reason}") from error
