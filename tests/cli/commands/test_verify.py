"""`tfnorm verify`: options, files, exit status."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import zoo
from command_line import run

from tfnorm.verify import InvarianceReport


@pytest.fixture(scope="module")
def defect():
    return zoo.exported("mean-centring")[1]


@pytest.fixture(scope="module")
def clean():
    return zoo.exported("perceptron")[1]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    path = tmp_path_factory.mktemp("examples") / "examples.npz"
    np.savez(path, x=zoo.exported("perceptron")[0].examples["x"][:24])
    return path


def test_a_defect_is_told_on_the_terminal_and_in_each_file(defect, examples, tmp_path, capsys):
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    options = [value for kind, file in files.items() for value in (f"--{kind}", file)]
    assert run("verify", defect, "--examples", examples, "--batch-size", 8, *options) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "FAILED a score moves by up to" in said
    assert "culprit center/Mean: Mean over the batch axis, in layer center" in said
    report = InvarianceReport.from_dict(json.loads(files["json"].read_text()))
    assert not report.passed and report.culprit.op_type == "Mean"
    suites = ElementTree.parse(files["junit"]).getroot()
    assert int(suites.get("failures")) == sum(not r.passed for r in report.compositions) > 0
    assert files["html"].read_text().startswith("<!doctype html>")


def test_examples_can_be_drawn_at_random(clean, capsys):
    assert run("verify", clean, "--random", 20, "--batch-size", 4) == 0
    assert "20 examples" in capsys.readouterr().out


def test_some_of_the_examples_are_enough(clean, examples, capsys):
    options = ["--examples", examples, "--limit", 5, "--batch-size", 4]
    assert run("verify", clean, *options, "--allowed-batch-size", 4) == 0
    assert "5 of 24 examples" in capsys.readouterr().out


def test_a_model_is_compared_with_another(clean, defect, examples, capsys):
    options = ["--examples", examples, "--batch-size", 4]
    assert run("verify", clean, *options, "--against", clean) == 0
    with_itself = capsys.readouterr().out
    assert "PASSED" in with_itself
    assert run("verify", clean, *options, "--against", defect) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "of 24 rows differ by more than rounding" in said and "differ on purpose" in said
    named = ["--output", "output_0=score"]
    assert run("verify", clean, *options, "--against", defect, *named) == 1
    assert run("verify", clean, *options, "--against", clean, *named) == 2
    assert "output names 'score', which the other model does not" in capsys.readouterr().err
    assert run("verify", clean, *options, "--against", clean, "--output", "score") == 2
    assert "--output is 'score'; accepted: NAME=OTHER" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--header", "no colon"], "--header is 'no colon'; accepted: 'NAME: VALUE'"),
        (["--header", "a b: c"], "header 'a b' is no name"),
        (["--timeout", 0], "timeout is 0.0"),
        (["--retries", -1], "retries is -1"),
        (["--certificates", "nowhere.pem"], "nowhere.pem does not exist"),
        (["--random", 1], "1 random examples"),
        (["--limit", 1], "limit is 1"),
        (["--budget", 0], "budget is 0.0; accepted: seconds, more than 0"),
        (["--budget", "nan"], "budget is nan"),
        (["--allowed-batch-size", 1], "allowed_batch_sizes is (1,)"),
        (["--unpadded", "history"], "unpadded names 'history', which is no input"),
        (["--examples", "nowhere.npz"], "nowhere.npz does not exist"),
        (["--against", "nowhere", "--random", 4], "nowhere does not exist"),
        (["--html", "nowhere/report.html"], "nowhere/report.html can't be written"),
        (["--junit", "nowhere/report.xml"], "nowhere/report.xml can't be written"),
        ([], "comes with no examples"),
    ],
)
def test_bad_options_get_one_line_and_exit_status_2(
    clean, options, reason, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run("verify", clean, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ")
    assert len(error.strip().splitlines()) == 1
    assert reason in error


def test_a_server_that_is_not_there_is_exit_status_2(examples, capsys):
    arguments = ["--examples", examples, "--retries", 0, "--timeout", 2]
    assert run("verify", "grpc://127.0.0.1:9/ranker", *arguments) == 2
    assert "no server answers there" in capsys.readouterr().err


def test_verify_exits_with_0_where_scores_do_not_depend_on_the_batch(exported, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert run("verify", exported, "--json", report) == 0
    assert "PASSED" in capsys.readouterr().out
    assert json.loads(report.read_text())["passed"] is True


def test_verify_exits_with_1_where_they_do(dependent_file, few_examples, capsys):
    assert run("verify", dependent_file, "--examples", few_examples) == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["http://127.0.0.1:9/v1/models/din"], "127.0.0.1:9"),
        ([], "Missing argument 'TARGET'"),
        (["x", "--batch-size", "many"], "'many' is not a valid integer"),
    ],
)
def test_bad_input_gets_one_line_and_exit_status_2(arguments, reason, capsys):
    assert run("verify", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1


def test_what_is_known_is_told_where_the_budget_is_too_small(clean, examples, tmp_path, capsys):
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    options = [value for kind, file in files.items() for value in (f"--{kind}", file)]
    assert run("verify", clean, "--examples", examples, "--budget", 1e-9, *options) == 2
    told = capsys.readouterr()
    assert "UNDECIDED 4 examples" in " ".join(told.out.split())
    assert told.err.startswith("tfnorm: the budget of 1e-09 s does not do for a verdict")
    assert len(told.err.strip().splitlines()) == 1
    report = InvarianceReport.from_dict(json.loads(files["json"].read_text()))
    assert report.passed is None and report.compositions and report.left_out
    assert ElementTree.parse(files["junit"]).getroot().get("errors") == "1"
    assert ": undecided</title>" in files["html"].read_text()
