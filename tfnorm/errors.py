"""The error that means: what was given can't be used, and here is what can."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["InputError"]


class InputError(ValueError):
    """Something given from outside can't be used.

    The message stands on its own in one line: it names what came, shows it and says what is accepted.
    The command line prints it and exits with status 2; the server answers with INVALID_ARGUMENT.

    Example:

        >>> try:
        ...     tfnorm.BatchNormalization(momentum=2.0)
        ... except tfnorm.InputError as error:
        ...     print(error)
        momentum must be in [0, 1], ...; received momentum=2.0
    """

    # As Exception itself is made: AutoGraph, which raises errors of a tf.function anew with the lines that
    # they came from, turns those that are made in any other way into one of its own type.
    if not TYPE_CHECKING:
        __init__ = Exception.__init__


def installed_by(extra: str) -> str:
    """How the packages of an extra are installed, as long as tfnorm is in no index."""
    return f"pip install '.[{extra}]' in a clone of tfnorm"


def optional(module: str, work: str, extra: str) -> ModuleType:
    """A module of a package that an extra brings, for what `work` says.

    Raises:
        InputError: it isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(f"{work} needs the package {package}: {installed_by(extra)}") from error
