"""serving/export.py, the script that a team copies: no version is left behind where something is wrong."""

import ast
import re
import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import tfnorm
from tfnorm.session import SavedModel

SCRIPT = Path(__file__).parents[1] / "serving" / "export.py"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the script on a model file and examples: its exit status."""
    np.savez(
        tmp_path / "examples.npz", x=np.random.default_rng(0).normal(size=(40, 3)).astype("f4")
    )

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "exports"), *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return stopped.value.code

    return run


def saved(tmp_path, of_batch):
    inputs = keras.Input((3,), name="x")
    x = keras.layers.Dense(4, activation="relu")(inputs)
    if of_batch:
        x = x - keras.ops.mean(x, axis=0, keepdims=True)
    model = keras.Model(inputs, keras.layers.Dense(1, name="score")(x))
    model.save(tmp_path / "model.keras")
    return ["--model", str(tmp_path / "model.keras"), "--examples", str(tmp_path / "examples.npz")]


def test_a_model_that_passes_is_published_and_named(run, tmp_path, capsys):
    assert run(*saved(tmp_path, of_batch=False)) == 0
    printed = capsys.readouterr().out
    assert "PASSED  40 examples" in printed
    assert printed.splitlines()[-1] == str(tmp_path / "exports" / "1")
    assert (tmp_path / "exports" / "1" / "saved_model.pb").exists()


@pytest.mark.slow
def test_signatures_warm_up_and_reports_are_had_from_the_script(run, tmp_path, capsys):
    reports = tmp_path / "verify.xml", tmp_path / "verify.html"
    options = ["--signature", "tf_example", "--warmup-batch-size", "8", "--batch-invariance"]
    options += ["bitwise", "--junit", str(reports[0]), "--html", str(reports[1])]
    assert run(*saved(tmp_path, of_batch=False), *options) == 0
    assert all(report.stat().st_size for report in reports)
    version = tmp_path / "exports" / "1"
    assert (version / "assets.extra" / "tf_serving_warmup_requests").exists()
    with SavedModel(version) as found:
        assert list(found.signature("tf_example").inputs) == ["examples"]


def test_the_script_uses_public_names_alone():
    tree = ast.parse(SCRIPT.read_text())
    imported = [
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    ]
    imported += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [name for name in imported if name.startswith("tfnorm")] == ["tfnorm"]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        owner, name = ast.unparse(node.value), node.attr
        if re.fullmatch(r"tfnorm(\.\w+)*", owner):
            room = tfnorm
            for part in owner.split(".")[1:]:
                room = getattr(room, part)
            assert name in room.__all__, f"{owner}.{name}"


def test_a_model_that_depends_on_the_batch_is_not_published(run, tmp_path, capsys):
    assert run(*saved(tmp_path, of_batch=True)) == 1
    assert "Mean over the batch axis" in capsys.readouterr().out
    assert not list((tmp_path / "exports").glob("*"))


def test_input_that_cannot_be_used_is_named_in_one_line(run, tmp_path, capsys):
    model, file, *_ = saved(tmp_path, of_batch=False)
    assert run(model, file, "--examples", str(tmp_path / "none.npz")) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "none.npz" in printed
    assert not list((tmp_path / "exports").glob("*"))
