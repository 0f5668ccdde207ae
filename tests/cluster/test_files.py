"""What workers make of files, by a made-up Ray whose workers work in this process."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from cluster.conftest import FILES
from cluster.made_up import InProcess, use
from command_line import run

import tfnorm
from tfnorm.errors import InputError
from tfnorm.reports.provenance import fingerprint


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    made_up = InProcess()
    use(monkeypatch, made_up)
    return made_up


def test_a_report_on_all_rows_and_what_stops_it(day, capsys, tmp_path):
    file = tmp_path / "report.json"
    examples = ("--examples", str(day / "day"), "--ray", "auto", "--workers", "1")
    assert run("statistics", str(day / "model.keras"), *examples, "--json", str(file)) == 1
    expected = tfnorm.statistics_report(
        keras.models.load_model(day / "model.keras"),
        [np.concatenate([np.load(day / "day" / f"{n}.npz")["x"] for n in range(FILES)])],
    )
    found = json.loads(file.read_text())
    assert [layer["state"] for layer in found["layers"]] == ["never updated", "never updated"]
    for one, other in zip(found["layers"], expected.to_dict()["layers"], strict=True):
        assert one["std_ratio"]["worst"] == pytest.approx(other["std_ratio"]["worst"], rel=1e-6)
    capsys.readouterr()
    assert run("statistics", str(day / "model.keras"), *examples, "--signature", "x") == 2
    assert "--signature is given with --ray" in capsys.readouterr().err


def test_a_file_that_does_not_fit_is_named(day, tmp_path):
    file = tmp_path / "wide.npz"
    np.savez(file, x=np.zeros((10, 5), np.float32))
    with pytest.raises(InputError, match=re.escape(f"{file}")):
        tfnorm.cluster.recalibrate(day / "model.keras", file, workers=1)


@pytest.fixture
def files_with_nan(day, tmp_path):
    files = shutil.copytree(day / "day", tmp_path / "day")
    x = np.load(files / "2.npz")["x"]
    x[7, 1] = np.nan
    np.savez(files / "2.npz", x=x)
    return files


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--ray", "auto")], ids=["plain", "on a cluster"])
def test_a_file_of_several_that_has_nan_is_named(day, files_with_nan, tmp_path, capsys, options):
    files, output = files_with_nan, tmp_path / "new.keras"
    command = ("recalibrate", day / "model.keras", "--examples", files, "--output", output)
    assert run(*command, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "tfnorm: the inputs of layer 'first' are not finite in 1 of its 4 channels"
    )
    assert line.endswith(f"they are so in 1 of 6 files, such as {files / '2.npz'}")
    assert not output.exists()


def test_a_report_on_all_rows_names_the_file_that_has_nan(day, files_with_nan, tmp_path, capsys):
    examples = ("--examples", files_with_nan, "--ray", "auto", "--json", tmp_path / "report.json")
    assert run("statistics", day / "model.keras", *examples) == 1
    file = str(files_with_nan / "2.npz")
    assert f"notfinite{file}" in "".join(capsys.readouterr().out.split())
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["not_finite"] == {"first": [file], "second": [file]}


@pytest.mark.slow
def test_a_report_on_all_rows_says_how_long_the_reading_took(day, tmp_path):
    def setup():
        """In the worker, and not before, it takes its time."""
        if (tmp_path / "begun").exists():
            time.sleep(2)
        (tmp_path / "begun").touch()

    files = (day / "model.keras", day / "day")
    report = tfnorm.cluster.statistics_report(*files, workers=1, setup=setup).report
    assert report.provenance.seconds > 2
    assert report.provenance.fingerprints["model"] == fingerprint(day / "model.keras")


def test_an_address_instead_of_a_path_is_one_line(day, log, capsys):
    for command in (
        ("replay", "s3://bucket/day", log / "model-1"),
        ("statistics", day / "model.keras", "--examples", "s3://bucket/day"),
    ):
        assert run(*command, "--ray", "auto") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("tfnorm: s3:/bucket/day is an address; accepted: a path")


@pytest.mark.slow
def test_files_of_a_relative_folder_with_damaged_and_empty_ones(
    day, tmp_path, monkeypatch, capsys, made_up
):
    """More workers are allowed than there are files."""
    (tmp_path / "hour").mkdir()
    x = np.random.default_rng(7).normal(2, 3, (700, 4)).astype(np.float32)
    for name, rows in (("a", x), ("b", x[:0]), ("c", x)):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 4)
        pa.parquet.write_table(pa.table({"x": lists}), tmp_path / "hour" / f"{name}.parquet")
    damaged = tmp_path / "hour" / "c.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    monkeypatch.chdir(tmp_path)
    command = ("recalibrate", day / "model.keras", "--examples", "hour", "--output", "new.keras")
    options = ("--ray", "auto", "--workers", "8", "--json", "report.json")
    assert run(*command, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tfnorm: {damaged}: it can't be read")
    assert not list(tmp_path.glob("new*"))
    assert made_up.started == len(made_up.killed) == 3

    assert run(*command, *options, "--skip-damaged") == 0
    told = capsys.readouterr().out
    assert re.search(r"files +1 left out", told) and "c.parquet" in "".join(told.split())
    report = json.loads(Path("report.json").read_text())
    assert report["examples"] == 700 and list(report["skipped"]) == [str(damaged)]
    model = keras.models.load_model("new.keras")
    np.testing.assert_allclose(model.get_layer("first").moving_mean, x.mean(0), rtol=1e-5)


def test_a_file_that_can_not_be_read_in_a_later_pass_is_left_out_of_those_before(day, tmp_path):
    files = shutil.copytree(day / "day", tmp_path / "day")
    last = files / f"{FILES - 1}.npz"

    def step(label, done, total):
        if label != "pass 1" and done == 1:
            last.unlink(missing_ok=True)

    found = tfnorm.cluster.recalibrate(
        day / "model.keras", files, workers=1, skip_damaged=True, progress=step
    )
    assert list(found.skipped) == [str(last)]
    x = np.concatenate([np.load(file)["x"] for file in sorted(files.iterdir())])
    np.testing.assert_allclose(found.model.get_layer("first").moving_mean, x.mean(0), rtol=1e-5)
    assert (found.done.examples, found.done.passes) == (len(x), 2)


def test_where_every_file_is_damaged_it_is_one_line_that_shows_one(day, log, tmp_path, capsys):
    (tmp_path / "day").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "day" / name).write_text('{"x": [')
    for command in (
        ("replay", tmp_path / "day", log / "model-1"),
        ("statistics", day / "model.keras", "--examples", tmp_path / "day"),
    ):
        assert run(*command, "--ray", "auto", "--skip-damaged") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("tfnorm: no file is left: 2 were left out, such as ")
        assert line.count(".jsonl") == 1


def test_where_no_file_has_rows_it_is_one_line(day, log, tmp_path, capsys):
    (tmp_path / "day").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "day" / name).touch()
    assert run("statistics", day / "model.keras", "--examples", tmp_path / "day", "--ray", "x") == 2
    assert capsys.readouterr().err == "tfnorm: the files hold no examples\n"
    assert run("replay", tmp_path / "day", log / "model-1", "--ray", "x") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("no request can be replayed: it holds none")


def test_workers_replay_the_version_that_was_the_newest_though_a_newer_one_comes(log, tmp_path):
    versions = tmp_path / "versions"
    shutil.copytree(log / "model-1", versions / "1")

    def setup():
        """In the worker, and not before, there is another version."""
        if (tmp_path / "begun").exists():
            shutil.copytree(log / "model-2", versions / "2")
        (tmp_path / "begun").touch()

    assert tfnorm.cluster.replay(log / "log", versions, workers=1, setup=setup).report.passed
    assert (versions / "2").exists()
