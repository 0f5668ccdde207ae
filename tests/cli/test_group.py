"""The list of the commands, and how one ends."""

import pkgutil
import sys
import types

import click
import pytest

from tfnorm._start.version import __version__
from tfnorm.cli import commands
from tfnorm.cli.command import Command
from tfnorm.cli.group import run, tfnorm
from tfnorm.errors import InputError


@pytest.fixture
def command(monkeypatch):
    """The function that `tfnorm serve` calls, in the place of its own."""
    played = types.ModuleType("tfnorm.cli.commands.serve")
    monkeypatch.setitem(sys.modules, played.__name__, played)

    def play(function):
        played.serve = click.command()(function)

    return play


def test_every_module_of_the_commands_is_one_and_is_listed_in_the_order_of_the_work():
    listed = tfnorm.list_commands(None)
    assert sorted(listed) == sorted(
        module.name for module in pkgutil.iter_modules(commands.__path__)
    )
    assert [name for name in listed if name in ("train", "export", "verify", "serve")] == [
        "train",
        "export",
        "verify",
        "serve",
    ]
    for name in listed:
        found = tfnorm.get_command(None, name)
        assert found.name == name
        # It loads TensorFlow by itself, for files that need it.
        assert isinstance(found, Command) or name == "schema"


@pytest.mark.parametrize("name", ["nonesuch", "__init__", "..group"])
def test_there_are_no_others(name):
    assert tfnorm.get_command(None, name) is None
    with pytest.raises(InputError, match=f"No such command '{name}'"):
        run([name])


def test_a_command_gives_its_status(command):
    command(lambda: 3)
    assert run(["serve"]) == 3


def test_without_arguments_those_of_the_process_are_taken_and_else_the_help_is_shown(
    command, monkeypatch, capsys
):
    command(lambda: 1)
    monkeypatch.setattr(sys, "argv", ["tfnorm", "serve"])
    assert run(None) == 1
    assert run([]) == 0
    monkeypatch.setattr(sys, "argv", ["tfnorm"])
    assert run(None) == 0
    assert capsys.readouterr().out.count("Usage: tfnorm [OPTIONS] COMMAND") == 2


@pytest.mark.parametrize("option", ["-h", "--help", "--version"])
def test_options_of_its_own_end_well(option, capsys):
    assert run([option]) == 0
    shown = capsys.readouterr().out
    assert shown == f"tfnorm, version {__version__}\n" or shown.startswith("Usage: tfnorm ")


def raising(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "expected", "reason"),
    [
        (click.UsageError("one of both"), InputError, "one of both"),
        (click.FileError("a.npz", "no such file"), InputError, r"a\.npz.*no such file"),
        (click.Abort(), KeyboardInterrupt, None),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (InputError("size is 0"), InputError, "size is 0"),
        (TypeError("of ours"), TypeError, "of ours"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_click_raises_is_bad_input_or_a_stop_and_other_errors_are_left(
    error, expected, reason, command
):
    command(raising(error))
    with pytest.raises(expected, match=reason):
        run(["serve"])


def helps():
    """Each option of each command, with its help."""
    for name in tfnorm.list_commands(None):
        for option in tfnorm.get_command(None, name).params:
            if isinstance(option, click.Option) and option.name != "help":
                yield pytest.param(option.help, id=f"{name} {option.opts[-1]}")


@pytest.mark.parametrize("text", list(helps()))
def test_the_help_of_an_option_is_made_of_whole_sentences(text):
    assert len(text.split()) >= 4
    assert text[0].isupper() or text.startswith((".keras", "din,"))
    assert text.endswith(".")
    assert not text.startswith("Of ")
