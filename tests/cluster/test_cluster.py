"""A Ray cluster of two nodes on this machine gives what a single process does, also where a node dies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import ray
from apart import FORKS
from cluster.conftest import FILES
from command_line import run
from ray.cluster_utils import Cluster

import tfnorm
from tfnorm.cli import main
from tfnorm.cluster.connection import OBJECT_STORE, connected, started
from tfnorm.pipeline import recalibrate_by_file

# Ray says what its later versions will do, and its threads outlive what they were started for.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
SECONDS = 240


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes with room for one worker each; the second can be removed."""
    size = {"num_cpus": 1, "object_store_memory": OBJECT_STORE}
    clusters = []

    def start():
        cluster = Cluster()
        clusters.append(cluster)
        cluster.add_node(**size, include_dashboard=False)
        return cluster, cluster.add_node(**size)

    def end():
        while clusters:
            clusters.pop().shutdown()

    try:
        cluster, second = started(start, end)
        with connected(cluster.address):
            yield cluster, second
    finally:
        end()


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
    files = shutil.copytree(log / "log", tmp_path / "log")
    expected = tfnorm.replay(files, log / "model-2", log / "model-1").to_dict()
    (files / "9").write_bytes(b"no record of a log")
    arguments = [str(files), str(log / "model-2"), "--against", str(log / "model-1")]
    file = tmp_path / "report.json"
    skipping = ("--ray", "auto", "--workers", "1", "--skip-damaged", "--json", str(file))
    assert run("replay", *arguments, *skipping) == 1
    assert "1 left out" in capsys.readouterr().out
    found = json.loads(file.read_text())
    (reason,) = found.pop("skipped").values()
    assert reason.startswith(str(files / "9"))
    for report in (expected, found):
        del report["provenance"]
        for model in (report["model"], report["against"]):
            model["ranking"]["tau"] = round(model["ranking"]["tau"], 9)
    assert found == json.loads(json.dumps(expected))
    assert (found["verdict"], found["against"]["verdict"]) == ("different", "equal")


@pytest.mark.skipif(
    not Path("/proc").exists(), reason="it looks for processes by their environment"
)
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped by Ctrl-C"]
)
def test_a_driver_that_ends_in_the_middle_leaves_no_process_and_no_file(day, tmp_path, how):
    mark = f"{tmp_path}/stuck"
    command = [
        *("recalibrate", day / "model.keras", "--import", "ray_stuck", "--examples", day / "day"),
        *("--output", tmp_path / "new.keras", "--json", tmp_path / "new.json"),
        *("--ray", "local", "--workers", "1"),
    ]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "RAY_STUCK": mark}
    told = tmp_path / "told"
    driver = FORKS.Process(target=drive, args=(command, environment, told))
    driver.start()
    try:
        while not Path(mark).exists():
            assert driver.is_alive(), told.read_text()
            time.sleep(0.1)
        # Ctrl-C goes to all processes of a terminal.
        (os.killpg if how == signal.SIGINT else os.kill)(driver.pid, how)
        driver.join(SECONDS)
        until = time.monotonic() + SECONDS
        # Ray's agents may stay for a minute, in which they tell one that is gone why they end.
        while left := [name for name in running(mark).values() if b"Agent" not in name]:
            assert time.monotonic() < until, left
            time.sleep(0.1)
    finally:
        driver.kill()
        for process in running(mark):
            os.kill(process, signal.SIGKILL)
    if how == signal.SIGINT:
        # TensorFlow was loaded before the command line could have it say less of a GPU.
        lines = [line for line in told.read_text().splitlines() if "cuda" not in line]
        # Click ends the line in which a terminal shows ^C.
        assert (driver.exitcode, lines) == (130, ["", "tfnorm: stopped"])
    assert not driver.is_alive() and not list(tmp_path.glob("new*"))


def drive(command, environment, told):
    """Run the command line as a terminal does, which waits for it, and starts it in a group of its own."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    with told.open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    main([str(argument) for argument in command])


def running(mark):
    """The processes that were started with the mark in their environment, and their names."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        # One may end meanwhile, and another be none of this user's.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and mark.encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes()
    return found
