"""`tfnorm replay`: options, files, exit status."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from command_line import run
from replay.traffic import Module, Numpy, answered, predicted, requests, save, write

from tfnorm.replay import ReplayReport

ASKED = requests(5, 20)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    directory = tmp_path_factory.mktemp("exports")
    for version in (1, 2):
        save(Module(version), directory / str(version))
    return directory


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "requests.tfrecord"
    return write(path, answered(Numpy(2), ASKED, version=2))


def test_equal_answers_are_exit_status_0(exports, log, capsys):
    assert run("replay", log, exports) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "EQUAL the log has what the model gives" in said
    assert "20 requests" in said


def test_others_are_exit_status_1_and_are_in_each_file(exports, log, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(exports.parent)
    log, exports = (path.relative_to(exports.parent) for path in (log, exports))
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html", "rows")}
    options = [value for kind, file in files.items() for value in (f"--{kind}", file)]
    assert run("replay", log, exports / "1", "--against", exports / "2", *options) == 1
    said = capsys.readouterr().out
    assert "DIFFERENT" in said and "gives the logged scores" in " ".join(said.split())
    # One screen of 80 columns; the terminal's prompt takes a line.
    assert len(said.splitlines()) <= 23 and max(map(len, said.splitlines())) <= 80
    report = ReplayReport.from_dict(json.loads(files["json"].read_text()))
    assert (report.verdict, report.against.verdict) == ("different", "equal")
    assert ElementTree.parse(files["junit"]).getroot().get("failures") == "1"
    assert files["html"].read_text().startswith("<!doctype html>")
    assert len(files["rows"].read_text().splitlines()) == report.model.rows_different


def test_what_can_not_be_told_is_exit_status_2(exports, tmp_path, capsys):
    path = tmp_path / "log"
    few = predicted({"x": ASKED[0]["x"]}, Numpy(2).score(ASKED[0]))
    write(path, [*answered(Numpy(2), ASKED[1:]), few])
    assert run("replay", path, exports) == 2
    assert "COULD NOT TELL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--limit", 0], "limit is 0"),
        (["--signature", "rank"], "has no signature 'rank'"),
        (["--rows", "nowhere/rows"], "nowhere/rows can't be written"),
        (["--against", "nowhere"], "nowhere does not exist"),
        (["--score", "ctr"], "score is 'ctr', a column of a table"),
    ],
)
def test_bad_options_get_one_line_and_exit_status_2(
    exports, log, options, reason, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run("replay", log, exports, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1


def test_labels_are_named_as_the_log_calls_them(exports, tmp_path, capsys):
    logs = [
        predicted({**inputs, "clicked": np.arange(len(inputs["x"])) % 2}, Numpy(2).score(inputs))
        for inputs in ASKED
    ]
    assert run("replay", write(tmp_path / "log", logs), exports, "--labels", "clicked") == 0
    assert "AUC: logged, new" in capsys.readouterr().out
