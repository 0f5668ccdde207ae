import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tfnorm.cli.files import report_option, write_json


@click.command()
@report_option("--junit", "junit_file", "JUnit XML")
def command(junit_file):
    click.echo(repr(junit_file))


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_report_is_asked_for_by_the_name_of_its_file(tmp_path):
    path = tmp_path / "report.xml"
    assert run("--junit", path).output.strip() == repr(path)
    assert run().output.strip() == "None"
    assert not path.exists()


@pytest.mark.parametrize("name", ["missing/report.xml", "."])
def test_a_file_that_can_not_be_written_is_refused_before_the_work(tmp_path, name):
    found = run("--junit", tmp_path / name)
    assert found.exit_code == 2 and "--junit" in found.output


def test_a_report_is_written_where_a_file_was_named(tmp_path):
    write_json(None, {"passed": True})
    write_json(path := tmp_path / "report.json", {"passed": True, "auc": 0.75})
    assert json.loads(path.read_text()) == {"passed": True, "auc": 0.75}


def test_a_report_whose_writing_fails_leaves_the_one_before(tmp_path, monkeypatch):
    path, link = tmp_path / "report.json", tmp_path / "link.json"
    link.symlink_to(path)
    write_json(link, {"auc": 0.5})
    assert link.is_symlink() and json.loads(path.read_text()) == {"auc": 0.5}

    def full(file, target):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(Path, "replace", full)
        write_json(path, {"auc": 0.75})
    assert json.loads(path.read_text()) == {"auc": 0.5}
    write_json(path, {"auc": 0.75})
    assert json.loads(path.read_text()) == {"auc": 0.75}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.json", "report.json"]


def test_a_report_is_written_into_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_json(path, {"auc": 0.75})
        assert json.loads(os.read(reader, 100)) == {"auc": 0.75}
    finally:
        os.close(reader)


def test_a_report_is_json_that_everybody_reads(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "report.json", {"auc": float("nan")})
