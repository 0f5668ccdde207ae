"""The `tfnorm` command: the list of its commands, and how a command ends."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from tfnorm._start.version import __version__
from tfnorm.errors import InputError

# In the order of the work, not of the alphabet.
_COMMANDS = (
    "demo",
    "schema",
    "train",
    "statistics",
    "recalibrate",
    "export",
    "verify",
    "replay",
    "inspect",
    "serve",
)


class _Commands(click.Group):
    """Commands that are each imported from a module of their name when they are asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"tfnorm.cli.commands.{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, prog_name="tfnorm")
def tfnorm() -> None:
    """Ranking models that score the same in training, in a notebook and behind TensorFlow Serving.

    \b
    Example:
      tfnorm demo
    """


def run(arguments: Sequence[str] | None) -> int:
    """Run a command, or show the help where none is named, and give the exit status.

    Raises:
        InputError: what was given can't be used.
        KeyboardInterrupt: it was stopped.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status: int = tfnorm.main(given or ["--help"], prog_name="tfnorm", standalone_mode=False)
    except click.ClickException as error:
        raise InputError(error.format_message()) from error
    except click.Abort as stopped:
        raise KeyboardInterrupt from stopped
    return status
