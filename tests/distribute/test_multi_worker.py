"""MultiWorkerMirroredStrategy with two processes on this machine, compared with NumPy."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import distribute_cases as cases
import distribute_oracle as oracle
import numpy as np
import pytest
from oracles import assert_close

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CASES = pytest.mark.parametrize("case", cases.ARGUMENTS)


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each worker saved."""
    folder = tmp_path_factory.mktemp("multi_worker")
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(cases.WORKERS)]}
    workers = []
    for index in range(cases.WORKERS):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = os.environ | {
            "TF_CONFIG": json.dumps(task),
            "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "tests"])),
        }
        workers.append(
            subprocess.Popen(
                [
                    sys.executable,
                    Path(__file__).with_name("multi_worker.py"),
                    folder / f"{index}.npz",
                ],
                env=environment,
            )
        )
    try:
        assert [worker.wait(timeout=300) for worker in workers] == [0] * cases.WORKERS
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return [dict(np.load(folder / f"{index}.npz")) for index in range(cases.WORKERS)]


@CASES
def test_a_custom_loop_trains_as_numpy_does(results, case):
    """With a short last shard and an empty one; the workers agree to the last bit."""
    steps, weights = oracle.train(case, cases.WORKER_STEPS)
    for n, expected in enumerate(steps):
        for name, value in zip(("y", "dx"), expected, strict=True):
            assert_close(
                np.concatenate([worker[f"{case}/{name} {n}"] for worker in results]), value
            )
    names = ["alpha"] if case.startswith("dice") else ["gamma", "beta"]
    for name, expected in zip([*names, "moving_mean", "moving_variance"], weights, strict=True):
        assert_close(results[0][f"{case}/{name}"], expected)
        np.testing.assert_array_equal(results[0][f"{case}/{name}"], results[1][f"{case}/{name}"])


@CASES
def test_synchronized_statistics_take_one_collective_a_call(results, case):
    """Others take two: for the mean over the workers of the moving mean, and of the variance."""
    expected = 1 if cases.ARGUMENTS[case].get("synchronized") else 2
    assert [worker[f"{case}/collectives"] for worker in results] == [expected] * cases.WORKERS
