"""MultiWorkerMirroredStrategy with two processes on this machine, compared with NumPy."""

import socket

import distribute_cases as cases
import distribute_oracle as oracle
import numpy as np
import pytest
from apart import apart
from distribute import multi_worker
from oracles import assert_close

pytestmark = pytest.mark.slow
CASES = pytest.mark.parametrize("case", cases.ARGUMENTS)


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def results():
    """What came out of each worker."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(cases.WORKERS)]}
    return apart(multi_worker.main, *((cluster, index) for index in range(cases.WORKERS)))


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
