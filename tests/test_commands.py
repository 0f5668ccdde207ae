"""Whoever types what a document or a help text shows gets it done, or was told what it needs.

The commands that take seconds run, in a folder that has what `make demo` leaves: a small model stands for the
one that it trains. Of those that train, download or need Docker, the options and the files that they name are
there.
"""

from __future__ import annotations

import importlib
import re
import runpy
import shutil
import sys
from configparser import ConfigParser
from pathlib import Path

import click
import keras
import numpy as np
import pytest
from command_line import curl, run
from replay.traffic import answered, write
from shown_commands import ROOT, blocks, commands, documents, helps

import tfnorm
from tfnorm.cli.group import tfnorm as group
from tfnorm.scorers.saved_model import SavedModelScorer
from tfnorm.server import Server, read_batching_parameters

PAGES = {name: text for name, text in {**documents(), **helps()}.items() if commands(text)}
WITH_PYTHON = {"ci", "find-the-fault", "release-gate", "replay-traffic"}
"""Pages that make in Python what their commands need; tests/test_tutorials.py runs them."""
OWN_LOG = {"your-own-log"}
"""A page whose commands train on what the one before wrote; tests/test_own_log.py runs it, smaller."""
LONG = {"demo", "train", "schema", "serve"}
"""Commands of tfnorm that train, need a log of one's own, or do not end; tests of their own run them."""
OUTPUTS = {"directory", "output", "json_file", "junit_file", "html_file", "rows_file"}
OUTPUTS |= {"serving_config", "checkpoints", "tensorboard"}
NAMED = {"target", "model", "against"}
"""Arguments that are a path or an address."""
FEWER = ("--batch-size", "2", "--batch-size", "8")
"""Of the batches that a verification tries, some do here."""


@pytest.fixture(scope="module")
def after_demo(tmp_path_factory):
    """What `make demo` leaves, and all else that a page may say that it needs."""
    folder = tmp_path_factory.mktemp("clone")
    keras.utils.set_random_seed(0)
    log = tfnorm.datasets.synthetic(train_size=1, test_size=128)
    rows = log.test.features
    model = tfnorm.models.DIN(log.schema, units=(2,), attention=False)
    tfnorm.recalibrate_statistics(model, [rows])
    model.save(folder / "din.keras")
    exported = tfnorm.export_saved_model(
        model, folder / "exports" / "din", examples=rows, signatures=["candidates"]
    )
    for place in ("exports/candidate", "exports/new", "tf1/din"):
        shutil.copytree(exported.path, folder / place / "1")
    for place in ("examples.npz", "held_out.npz"):
        np.savez(folder / place, **rows)
    _write_parquet(folder / "training.parquet", rows)
    scorer = SavedModelScorer(exported.path, "serving_default")
    asked = [{k: array[n : n + 8] for k, array in rows.items()} for n in range(0, 64, 8)]
    write(folder / "requests.tfrecord", answered(scorer, asked, name="din", version=1))
    scorer.close()
    shutil.copytree(ROOT / "serving", folder / "serving")
    return folder


@pytest.fixture(scope="module")
def server(after_demo):
    with Server(after_demo / "exports" / "din", "din", port=0, rest_port=0) as running:
        yield running


def _write_parquet(path, rows):
    import pyarrow as pa
    import pyarrow.parquet

    pa.parquet.write_table(pa.table({k: a.tolist() for k, a in rows.items()}), path)


def _command(name):
    return getattr(importlib.import_module(f"tfnorm.cli.commands.{name}"), name)


def _paths(command, params):
    """The paths that a command of tfnorm reads, and those that it writes."""
    reads, writes = set(), set()
    for name, value in params.items():
        if value is None or "://" in str(value):
            continue
        made = (command, name) == ("train", "examples")
        fetched = name == "data_dir" and params["download"]
        if name in OUTPUTS or made or fetched:
            writes.add(str(value))
        elif isinstance(value, Path) or (name in NAMED and command != "train"):
            reads.add(str(value))
        elif name in ("files", "train", "test", "schema"):
            reads |= set(map(str, value if isinstance(value, tuple | list) else (value,)))
    return reads, writes


def _parsed(words):
    """The values of a command of tfnorm."""
    with click.Context(group) as parent:
        return _command(words[1]).make_context(words[1], list(words[2:]), parent=parent).params


def _needed(text):
    """What a page says that its commands need."""
    paragraphs = re.split(r"\n\s*\n", text)
    sentences = [s for p in paragraphs for s in re.split(r"[.:]\s", " ".join(p.split()) + " ")]
    return " ".join(s for s in sentences if re.search(r"\bneeds?\b", s))


def _is_there(path, needed, written):
    if path == "exports/din" or path.startswith("exports/din/1/") or (ROOT / path).exists():
        return True
    places = {path, *map(str, Path(path).parents)} - {"."}
    named = (re.search(rf"(?<![\w/]){re.escape(place)}(?!\w)", needed) for place in places)
    return bool(places & written) or any(named)


@pytest.mark.parametrize("name", [n for n in PAGES if Path(n).stem not in WITH_PYTHON])
def test_a_page_shows_commands_that_are_there_and_says_what_they_need(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, written = PAGES[name], set()
    needed = _needed(text)
    for shown in commands(text):
        words = shown.words
        if words[0] == "python":
            written |= {word for word in words[2:] if not word.startswith("--")}
        where = f"{name}: {shown.text}"
        if any("127.0.0.1" in word for word in words):
            assert "tfnorm serve" in " ".join(text.split()), f"{where} needs a server"
        if words[0] != "tfnorm" or words[1] in ("COMMAND", "--help"):
            continue
        assert words[1] in group.list_commands(None), where
        known = {o for p in _command(words[1]).params for o in (*p.opts, *p.secondary_opts)}
        options = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        assert options <= known | {"--help"}, where
        if shown.is_template:
            continue
        for word in words:
            if "/" in word and ":" not in word:
                Path(word).parent.mkdir(parents=True, exist_ok=True)
        try:
            params = _parsed(words)
        except click.ClickException as error:
            # What stands in a sentence may be only the beginning of a command.
            assert shown.inline, f"{where}: {error.format_message()}"
            continue
        reads, writes = _paths(words[1], params)
        missing = [path for path in reads if not _is_there(path, needed, written)]
        assert not missing, f"{where} needs {missing}, of which the page does not say so"
        written |= writes


@pytest.mark.parametrize("name", PAGES)
def test_scripts_targets_and_packages_that_a_page_names_are_there(name):
    makefile = (ROOT / "Makefile").read_text()
    extras = ConfigParser()
    extras.read(ROOT / "setup.cfg")
    known = set(extras["options.extras_require"])
    for shown in commands(PAGES[name]):
        program, *words = shown.words
        where = f"{name}: {shown.text}"
        if program == "python" and words[0] != "-m":
            script = ROOT / words[0]
            assert script.is_file(), where
            source = script.read_text()
            for option in (word for word in words if word.startswith("--")):
                assert f'"{option}"' in source or f"'{option}'" in source, where
        elif program == "make":
            for target in (word for word in words if "=" not in word):
                extra = target.removeprefix(".venv/installed-")
                assert extra in known or re.search(rf"^{target}:", makefile, re.M), where
        elif program == "pip" and words[0] == "install":
            for package in words[1:]:
                local = re.fullmatch(r"\.(?:\[([\w,]+)\])?", package)
                assert local, f"{where}: tfnorm is in no index"
                assert set((local[1] or "").split(",")) - {""} <= known, where


def test_nothing_tells_to_install_tfnorm_from_an_index():
    places = [*(ROOT / "tfnorm").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    places += [ROOT / "README.md", *(ROOT / "notebooks").glob("*.ipynb")]
    places += [*(ROOT / "serving").iterdir(), *(ROOT / "benchmarks").glob("*.*")]
    index = re.compile(r"pip install [^\n`]*\btfnorm\b(?!/)(?! *[.,;)]*$)")
    found = [
        f"{place.relative_to(ROOT)}: {line.strip()}"
        for place in places
        for line in place.read_text().splitlines()
        if index.search(line.replace("in a clone of tfnorm", "").replace("wheels/tfnorm-", ""))
    ]
    assert not found


@pytest.fixture
def clone(after_demo, tmp_path, monkeypatch):
    """A copy of what `make demo` leaves, to work in."""
    folder = shutil.copytree(after_demo, tmp_path / "clone")
    monkeypatch.chdir(folder)
    return folder


done = set()
"""What has run on another page, and need not run again unless its page goes on from it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in PAGES if Path(n).stem not in WITH_PYTHON | OWN_LOG])
def test_the_commands_of_a_page_run_as_printed(name, clone, server, monkeypatch, capsys):
    ports = {"8500": str(server.grpc_port), "8501": str(server.rest_port)}
    shown = [one for one in commands(PAGES[name]) if not one.inline]
    for place, one in enumerate(shown):
        program, *words = [re.sub("850[01]", lambda port: ports[port[0]], w) for w in one.words]
        deployed = [word for word in words if word.startswith("deploy")]
        goes_on = any(word in later.text for word in deployed for later in shown[place + 1 :])
        if one.text in done and not goes_on:
            continue
        done.add(one.text)
        if program == "tfnorm" and not one.is_template and words[0] not in LONG:
            fewer = FEWER if words[0] == "verify" else ()
            status = run(*words, *fewer)
            failed = "FAILED" in PAGES[name].partition(one.text)[2].partition("\n\n\n")[0]
            told = capsys.readouterr()
            assert status == 0 or (status == 1 and f"$ {one.text}" in PAGES[name] and failed), (
                one.text,
                told,
            )
        elif program == "tfnorm" and "--batching-parameters" in words:
            assert read_batching_parameters(Path(words[-1])) is not None
        elif program == "python" and "--model" in words:
            monkeypatch.setattr(sys, "argv", words)
            with pytest.raises(SystemExit) as stopped:
                runpy.run_path(words[0], run_name="__main__")
            assert stopped.value.code == 0
        elif program == "curl" and not one.is_template:
            assert curl(words)
    for one in commands(PAGES[name]):
        words = one.words
        if words[0] in ("docker", "kubectl") and "-f" in words:
            assert Path(words[words.index("-f") + 1]).is_file(), one.text


@pytest.mark.slow
def test_the_client_of_the_page_on_replay_records_a_log_of_its_server(clone, server):
    (block,) = blocks(PAGES["docs/replay.md"], "python")
    names = {}
    exec(block, names)
    with np.load("examples.npz") as rows:
        columns = {name: rows[name][:8].tolist() for name in rows}
    asked = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    url = f"{server.rest_url}/versions/1:predict"
    with Path("recorded.jsonl").open("w") as log:
        assert len(names["ask"](asked[:5], log, url)) == 5
        assert len(names["ask"](asked[5:], log, url)) == 3
    assert run("replay", "recorded.jsonl", "exports/din") == 0
