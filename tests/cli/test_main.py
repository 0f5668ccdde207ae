"""What holds for every command: errors, Ctrl-C, and help that loads nothing heavy."""

import os
import sys
from pathlib import Path

import click_rows as clicks
import pytest
from command_line import run, run_apart

import tfnorm
from tfnorm.cli.group import tfnorm as group

COMMANDS = (
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


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nonesuch"], "No such command 'nonesuch'"),
        (["--nonesuch"], "No such option"),
        (["verify", "--nonesuch"], "No such option"),
    ],
)
def test_bad_input_gets_one_line_and_exit_status_2(arguments, reason, capsys):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1


def test_a_failure_of_its_own_is_no_verdict(capsys, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(group, "main", fails)
    assert run("verify", "exports/din") == 2
    error = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in error
    last = error.splitlines()[-1]
    assert last == "tfnorm: it failed on its own (ZeroDivisionError): please report this"


def test_help_shows_an_example_of_each_command(capsys):
    assert tuple(group.list_commands(None)) == COMMANDS
    for command in COMMANDS:
        assert run(command, "--help") == 0
        assert f"Example:\n    tfnorm {command}" in capsys.readouterr().out


def test_without_arguments_the_help_is_shown(capsys):
    assert run() == 0
    alone = capsys.readouterr().out
    assert run("--help") == 0
    assert alone == capsys.readouterr().out


def test_help_fits_80_columns_with_whole_sentences(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    summaries = lines[lines.index("Commands:") + 1 :]
    assert [line.split()[0] for line in summaries] == list(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in summaries)


LOADED = """
import sys
sys.argv = ["tfnorm", *sys.argv[1:]]
from tfnorm.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
"""What the installed `tfnorm` does, and then the names of all modules."""


def loaded(*arguments):
    """The top-level packages that a command line loads."""
    done = run_apart(*arguments, python=("-c", LOADED))
    assert done.returncode == 0
    return done.stdout, {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_and_version_load_no_tensorflow_keras_or_numpy(arguments):
    _, packages = loaded(*arguments)
    assert "click" in packages
    assert not packages & {"tensorflow", "keras", "numpy"}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["parquet", "tfrecord"])
def test_a_schema_is_drafted_without_tensorflow_but_of_its_own_files(suffix, tmp_path):
    getattr(clicks, f"write_{suffix}")(tmp_path / f"log.{suffix}", clicks.rows(60))
    _, packages = loaded("schema", tmp_path, "--output", tmp_path / "schema.json")
    assert packages & {"tensorflow", "keras"} == (
        {"tensorflow", "keras"} if suffix == "tfrecord" else set()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_loads_no_tensorflow(command):
    shown, packages = loaded(command, "--help")
    assert shown.startswith(f"Usage: tfnorm {command}")
    assert not packages & {"tensorflow", "keras"}


@pytest.mark.parametrize("module", ["tfnorm", "tfnorm.cli"])
def test_python_runs_it_as_a_module(module):
    done = run_apart("--version", python=("-X", "importtime", "-m", module))
    assert done.returncode == 0
    assert done.stdout == f"tfnorm, version {tfnorm.__version__}\n"
    assert "tensorflow" not in done.stderr


@pytest.mark.slow
def test_another_keras_backend_is_exit_status_2_and_one_line(tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    done = run_apart("inspect", tmp_path, env=environment)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tfnorm: tfnorm runs on Keras 3 with the TensorFlow backend")


def test_in_its_process_the_public_names_load_when_they_are_asked_for(monkeypatch):
    """A model file's own layers may ask for them."""
    monkeypatch.setattr(sys, "argv", ["tfnorm"])
    names = {"__name__": "tfnorm"}
    exec(compile(Path(tfnorm.__file__).read_text(), tfnorm.__file__, "exec"), names)
    assert not names.keys() & {"Dice", "verify"}
    for name in tfnorm.__all__:
        found = names[name] if name in names else names["__getattr__"](name)
        assert found is getattr(tfnorm, name)
    assert set(tfnorm.__all__) <= set(names["__dir__"]())
    with pytest.raises(AttributeError, match="nonesuch"):
        names["__getattr__"]("nonesuch")


STOPPED = """
import os, signal, sys
# Where the tests run in the background, Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["tfnorm", *sys.argv[1:]]

class Stop:
    # Ctrl-C, as soon as a certain module is looked for.
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Stop())
from tfnorm.cli import main
main()
"""


@pytest.mark.parametrize("name", ["tfnorm.cli.group", "click.core", "keras", "tensorflow.python"])
def test_ctrl_c_while_it_loads_is_exit_status_130_and_one_line(name, tmp_path):
    done = run_apart("inspect", tmp_path, python=("-c", STOPPED.format(name=name)))
    assert done.returncode == 130
    assert done.stderr.strip() == "tfnorm: stopped"
