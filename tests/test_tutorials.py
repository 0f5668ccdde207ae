"""The tutorials and the recipes for a user's CI run as they stand, and print what they show."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from command_line import run
from shown_commands import blocks, commands

import tfnorm

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = sorted(path for path in (DOCS / "tutorials").glob("*.md") if path.stem != "index")
GATE = DOCS / "tutorials" / "release-gate.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_commands(block, capsys):
    """Each command of a block of the terminal prints what stands under it; `...` is for anything."""
    for command, *shown in (part.split("\n") for part in block.split("$ ")[1:]):
        capsys.readouterr()
        run(*shlex.split(command.removeprefix("tfnorm ")))
        printed = " ".join(capsys.readouterr().out.split())
        pattern = ".*".join(
            re.escape(" ".join(part.split())) for part in "\n".join(shown).split("...")
        )
        assert re.search(pattern, printed), f"{command}\nshown: {shown}\nprinted: {printed}"


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs_as_it_stands(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras.utils.clear_session(free_memory=False)
    names = {"__name__": "__main__"}
    for kind, block in BLOCK.findall(path.read_text()):
        if kind == "console":
            run_commands(block, capsys)
        if kind != "python":
            continue
        capsys.readouterr()
        exec(compile(block, str(path), "exec"), names)
        promised = re.findall(r"^# (\w+: .+)$", block, re.MULTILINE)
        assert set(promised) <= set(capsys.readouterr().out.splitlines())


STAND_IN = """#!/bin/sh
case $1 in
export) mkdir -p "$3/$5" && cp "$2" "$3/$5/" ;;
verify) test -e "$2/good.keras" ;;
esac
"""


def test_a_gate_with_a_staging_folder_publishes_a_good_model_after_a_bad_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, script = blocks(GATE.read_text(), "sh")
    command = tmp_path / "bin" / "tfnorm"
    command.parent.mkdir()
    command.write_text(STAND_IN)
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    for name in ("bad", "good"):
        (tmp_path / f"{name}.keras").write_text(name)

    def passes(model, version):
        given = {**os.environ, "PATH": path, "MODEL": model, "VERSION": version}
        return subprocess.run(["sh", "-c", script], env=given, capture_output=True).returncode == 0

    def released():
        return sorted(str(p.relative_to("released")) for p in Path("released").rglob("*.keras"))

    assert not passes("bad.keras", "7") and released() == []
    assert passes("good.keras", "7") and released() == ["ranker/7/good.keras"]
    assert not passes("bad.keras", "8") and released() == ["ranker/7/good.keras"]
    assert not passes("good.keras", "7") and released() == ["ranker/7/good.keras"]
    assert passes("good.keras", "8") and released() == [
        "ranker/7/good.keras",
        "ranker/8/good.keras",
    ]


def test_the_gates_give_options_that_there_are():
    found = [c.text.replace("$VERSION", "7") for c in commands(GATE.read_text()) if not c.inline]
    words = [shlex.split(text)[1:] for text in found if text.startswith("tfnorm ")]
    assert {"export", "verify"} <= {name for name, *_ in words}
    for name, *rest in words:
        module = importlib.import_module(f"tfnorm.cli.commands.{name}")
        getattr(module, name).make_context(name, rest)


@pytest.fixture(scope="module")
def recipes():
    """The blocks of docs/ci.md, by what they are."""
    found = [
        (kind, text, yaml.safe_load(text) if kind == "yaml" else {})
        for kind, text in BLOCK.findall((DOCS / "ci.md").read_text())
    ]
    return {
        "workflows": [(text, parsed) for _, text, parsed in found if "jobs" in parsed],
        "pre-commit": next(parsed for *_, parsed in found if "repos" in parsed),
        "hook": next(text for kind, text, _ in found if kind == "sh"),
        "test": next(text for kind, text, _ in found if kind == "python"),
    }


@pytest.fixture
def project(recipes, tmp_path, monkeypatch):
    """A folder with the model of the recipes and its examples."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(recipes["test"], names)
    features = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    model = names["build_ranker"]()
    tfnorm.recalibrate_statistics(model, features)
    model.save("model.keras")
    np.savez("examples.npz", features=features)
    return tmp_path


def test_a_host_takes_the_workflows(recipes, tmp_path):
    assert len(recipes["workflows"]) == 2
    for number, (text, _) in enumerate(recipes["workflows"]):
        (tmp_path / f"{number}.yml").write_text(text)
    schema = ("--builtin-schema", "vendor.github-workflows")
    files = sorted(tmp_path.glob("*.yml"))
    checked = subprocess.run([sys.executable, "-m", "check_jsonschema", *schema, *files])
    assert checked.returncode == 0


@pytest.mark.slow
def test_the_steps_of_the_workflow_leave_the_reports(recipes, project):
    _, workflow = recipes["workflows"][0]
    steps = [step["run"] for step in workflow["jobs"]["verify"]["steps"] if "run" in step]
    commands = [shlex.split(step)[1:] for step in steps if step.startswith("tfnorm ")]
    assert [run(*command) for command in commands] == [0, 0]
    assert {path.name for path in project.glob("verdict.*")} == {
        "verdict.xml",
        "verdict.html",
        "verdict.json",
    }


@pytest.mark.slow
def test_the_hook_of_pre_commit_passes_a_model_that_is_right(recipes, project):
    (hook,) = recipes["pre-commit"]["repos"][0]["hooks"]
    assert re.match(hook["files"], "model.keras")
    assert run(*shlex.split(hook["entry"])[1:]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("status", "committed"), [(0, True), (1, False), (2, False)])
def test_the_hook_of_git_stops_a_commit_of_a_model_that_fails(
    status, committed, recipes, project, monkeypatch
):
    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        return subprocess.run(["git", *who, *arguments], capture_output=True, text=True)

    stand_in = project / "bin" / "tfnorm"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {project}/asked\nexit {status}\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}")
    git("init", "--quiet")
    hook = project / ".git" / "hooks" / "pre-commit"
    hook.write_text(recipes["hook"])
    hook.chmod(0o755)
    git("add", "examples.npz")
    assert git("commit", "--message", "examples").returncode == 0
    assert not (project / "asked").exists()
    git("add", "model.keras")
    assert (git("commit", "--message", "model").returncode == 0) == committed
    assert (project / "asked").read_text().startswith("verify model.keras")
