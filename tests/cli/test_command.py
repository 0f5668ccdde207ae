import os
import sys

import click
import pytest

from tfnorm.cli.command import Command
from tfnorm.errors import InputError


@click.command(cls=Command)
def greet():
    click.echo("hello")
    return 3


def run():
    return greet.main([], standalone_mode=False)


def test_what_a_command_gives_is_handed_on(capsys):
    assert run() == 3
    assert capsys.readouterr().out == "hello\n"


def test_a_keras_that_can_not_be_imported_is_bad_input(monkeypatch):
    monkeypatch.delitem(sys.modules, "tfnorm._start.backend")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(InputError, match="importing Keras failed"):
        run()


class Noisy:
    """Writes to stderr as a C library does, when the backend is looked for."""

    def find_spec(self, name, path=None, target=None):
        if name == "tfnorm._start.backend":
            os.write(2, b"a note of a library\n")


def test_notes_of_libraries_that_load_are_dropped(monkeypatch, capfd):
    monkeypatch.delitem(sys.modules, "tfnorm._start.backend")
    monkeypatch.setattr(sys, "meta_path", [Noisy(), *sys.meta_path])
    assert run() == 3
    os.write(2, b"an error of ours\n")
    assert capfd.readouterr().err == "an error of ours\n"


def test_a_process_without_stderr_runs_too(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert run() == 3
