"""A version in memory, and what becomes of requests when it goes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.running.local import LocalModel
from tfnorm.server.versions.loaded import LoadedVersion

MINUTE = BatchingParameters(max_batch_size=10, batch_timeout_micros=60_000_000)
X = {"x": np.zeros(2, np.float32)}


def test_what_waits_in_a_batch_is_run_before_the_session_closes(constants, eventually):
    loaded = LoadedVersion(1, LocalModel(constants[1]), MINUTE, 10**6)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(loaded.run, X, signature="serving_default")
        eventually(lambda: any(loaded._batcher._queues._queues.values()))
        loaded.close(20)
        assert waiting.result(20)["score"].tolist() == [1, 1]
    with pytest.raises(tf.errors.UnavailableError, match="unloaded"):
        loaded.run(X, signature="serving_default")


def test_a_run_on_a_version_that_is_gone_is_unavailable(constants):
    loaded = LoadedVersion(1, LocalModel(constants[1]), None, 10**6)
    loaded.close()
    with pytest.raises(tf.errors.UnavailableError, match="unloaded"):
        loaded.run(X, signature="serving_default")


def test_a_run_that_is_cancelled_because_its_version_goes_is_unavailable(
    everything_directory, eventually
):
    loaded = LoadedVersion(3, LocalModel(everything_directory / "3"), None, 10**6)
    begun = threading.Event()

    def run():
        begun.set()
        loaded.run({"steps": np.array(10**8, np.int32)}, signature="slow")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        assert begun.wait(20)
        loaded.close()
        assert isinstance(running.exception(20), tf.errors.UnavailableError)
