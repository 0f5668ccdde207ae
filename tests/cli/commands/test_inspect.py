"""`tfnorm inspect`: options, files, exit status."""

import json

import pytest
import zoo
from command_line import run


@pytest.fixture(scope="module")
def defect():
    return zoo.exported("mean-centring")[1]


@pytest.fixture(scope="module")
def clean():
    return zoo.exported("perceptron")[1]


def test_inspect_names_what_is_wrong_without_examples(defect, tmp_path, capsys):
    assert run("inspect", defect, "--json", tmp_path / "findings.json") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "error center/Mean (Mean), in layer center: Mean reduces over the batch axis" in said
    assert "FAILED 1 error" in said
    document = json.loads((tmp_path / "findings.json").read_text())
    assert document["passed"] is False
    assert document["findings"][0]["op_type"] == "Mean"
    assert document["findings"][0]["advice"]


def test_inspect_passes_a_clean_model_and_says_what_is_next(clean, capsys):
    assert run("inspect", clean) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "PASSED nothing wrong is seen" in said
    assert "tfnorm verify" in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["nowhere"], "nowhere"), ([], "Missing argument 'TARGET'")],
)
def test_inspect_needs_a_saved_model(arguments, reason, capsys):
    assert run("inspect", *arguments) == 2
    assert reason in capsys.readouterr().err


def test_inspect_needs_a_signature_that_is_there(clean, capsys):
    assert run("inspect", clean, "--signature", "rank") == 2
    assert "no signature 'rank'" in capsys.readouterr().err
