"""A Ray cluster of two nodes on this machine gives what a single process does, also where a node dies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import ray
import ray_setup
from command_line import run
from ray.cluster_utils import Cluster
from replay.traffic import Module, Numpy, answered, requests, save, write

import tfnorm
from tfnorm.cluster.connection import OBJECT_STORE, connected
from tfnorm.errors import InputError
from tfnorm.pipeline import recalibrate_by_file

# Ray says what its later versions will do, and its threads outlive what they were started for.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
FILES = 6
SECONDS = 240


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes with room for one worker each; the second can be removed."""
    size = {"num_cpus": 1, "object_store_memory": OBJECT_STORE}
    head = {**size, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        # Its workers import what they are to set up.
        patch.setenv("PYTHONPATH", str(Path(ray_setup.__file__).parent), prepend=os.pathsep)
        cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        second = cluster.add_node(**size)
        with connected(cluster.address):
            yield cluster, second
    finally:
        cluster.shutdown()


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """Files of examples, of which one has none, and a model of two layers that depend on each other."""
    folder = tmp_path_factory.mktemp("day")
    rng = np.random.default_rng(0)
    (folder / "day").mkdir()
    for n in range(FILES):
        rows = 0 if n == 3 else 1500 + n
        x = rng.normal(n, 1 + n, (rows, 4)).astype(np.float32)
        np.savez(folder / "day" / f"{n}.npz", x=x)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    x = tfnorm.BatchNormalization(name="first")(inputs)
    x = tfnorm.Dice(name="second", momentum_warmup=True)(keras.layers.Dense(3)(x))
    keras.Model(inputs, keras.layers.Dense(1)(x), name="ranker").save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log of several files, what answered it, and another model."""
    folder = tmp_path_factory.mktemp("log")
    (folder / "log").mkdir()
    asked = requests(5, 120)
    for n in range(3):
        write(folder / "log" / str(n), answered(Numpy(1), asked[40 * n : 40 * (n + 1)], version=1))
    for seed in (1, 2):
        save(Module(seed), folder / f"model-{seed}")
    return folder


def test_recalibration_is_that_of_a_single_process_though_a_node_dies_in_the_middle(nodes, day):
    cluster, second = nodes
    single = keras.models.load_model(day / "model.keras")
    expected = recalibrate_by_file(single, day / "day")
    steps = []

    def step(label, done, total):
        steps.append((label, done, total))
        if label.startswith("pass 2") and done == 1:
            assert len(ray.nodes()) == 2 and all(node["Alive"] for node in ray.nodes())
            cluster.remove_node(second, allow_graceful=False)

    found = tfnorm.cluster.recalibrate(day / "model.keras", day / "day", workers=2, progress=step)
    assert [label for label, done, _ in steps if done == FILES] == ["pass 1", "pass 2 of 2"]
    assert len(steps) == 2 * FILES and found.skipped == {}
    assert (found.done.examples, found.done.passes) == (expected.examples, 2)
    for one, other in zip(found.model.weights, single.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    for one, other in zip(found.done.moves, expected.moves, strict=True):
        assert one.standard_error == pytest.approx(other.standard_error, rel=1e-6)


def test_a_replay_gives_verdict_and_numbers_of_a_single_process(nodes, log, capsys, tmp_path):
    expected = tfnorm.replay(log / "log", log / "model-2", log / "model-1").to_dict()
    (log / "log" / "9").write_bytes(b"no record of a log")
    arguments = [str(log / "log"), str(log / "model-2"), "--against", str(log / "model-1")]
    file = tmp_path / "report.json"
    skipping = ("--ray", "auto", "--workers", "1", "--skip-damaged", "--json", str(file))
    assert run("replay", *arguments, *skipping) == 1
    assert "1 left out" in capsys.readouterr().out
    found = json.loads(file.read_text())
    (reason,) = found.pop("skipped").values()
    assert reason.startswith(str(log / "log" / "9"))
    for report in (expected, found):
        del report["provenance"]
        for model in (report["model"], report["against"]):
            model["ranking"]["tau"] = round(model["ranking"]["tau"], 9)
    assert found == json.loads(json.dumps(expected))
    assert (found["verdict"], found["against"]["verdict"]) == ("different", "equal")


def test_a_report_on_all_rows_and_what_stops_it(nodes, day, capsys, tmp_path):
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


def test_what_a_worker_can_not_import_is_one_line(nodes, day):
    with pytest.raises(InputError, match="ModuleNotFoundError: No module named 'our_layers'"):
        tfnorm.cluster.recalibrate(
            day / "model.keras", day / "day", workers=1, setup=ray_setup.missing_in_workers
        )


def test_a_file_that_does_not_fit_is_named(nodes, day):
    np.savez(day / "wide.npz", x=np.zeros((10, 5), np.float32))
    with pytest.raises(InputError, match=re.escape(f"{day / 'wide.npz'}")):
        tfnorm.cluster.recalibrate(day / "model.keras", day / "wide.npz", workers=1)


def test_files_of_a_relative_folder_with_damaged_and_empty_ones(
    nodes, day, tmp_path, monkeypatch, capsys
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

    assert run(*command, *options, "--skip-damaged") == 0
    told = capsys.readouterr().out
    assert re.search(r"files +1 left out", told) and "c.parquet" in "".join(told.split())
    report = json.loads(Path("report.json").read_text())
    assert report["examples"] == 700 and list(report["skipped"]) == [str(damaged)]
    model = keras.models.load_model("new.keras")
    np.testing.assert_allclose(model.get_layer("first").moving_mean, x.mean(0), rtol=1e-5)


@pytest.mark.skipif(
    not Path("/proc").exists(), reason="it looks for processes by their environment"
)
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped by Ctrl-C"]
)
def test_a_driver_that_ends_in_the_middle_leaves_no_process_and_no_file(day, tmp_path, how):
    mark = f"{tmp_path}/stuck"
    command = [
        *(sys.executable, "-m", "tfnorm", "recalibrate", day / "model.keras"),
        *("--import", "ray_stuck", "--examples", day / "day"),
        *("--output", tmp_path / "new.keras", "--json", tmp_path / "new.json"),
        *("--ray", "local", "--workers", "1"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RAY_STUCK": mark}
    # What a shell starts in the background ignores Ctrl-C, and so would what that starts.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        driver = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        while not Path(mark).exists():
            assert driver.poll() is None, driver.stderr.read()
            time.sleep(0.1)
        # Ctrl-C goes to all processes of a terminal.
        (os.killpg if how == signal.SIGINT else os.kill)(driver.pid, how)
        _, told = driver.communicate(timeout=SECONDS)
        until = time.monotonic() + SECONDS
        while left := running(mark):
            assert time.monotonic() < until, left
            time.sleep(0.1)
    finally:
        for process in running(mark):
            os.kill(process, signal.SIGKILL)
    if how == signal.SIGINT:
        # Click ends the line in which a terminal shows ^C.
        assert (driver.returncode, told) == (130, "\ntfnorm: stopped\n")
    assert not list(tmp_path.glob("new*"))


def running(mark):
    """The processes that have the mark in their environment, which those that they start inherit."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # One may end meanwhile, and another be none of this user's.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found
