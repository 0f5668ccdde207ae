"""Clients on both APIs while versions roll, some of them broken."""

import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from server.served_models import BREAKS, Scaled, break_version

from tfnorm.server import Server
from tfnorm.server.running.local import LocalModel

CLIENTS = 8
SIZES = (1, 2, 3, 7, 32)


def scaled_models(directory):
    """SavedModels that multiply by 1, 2 and 3: value -> where it is."""
    made = {}
    for value in (1, 2, 3):
        module = Scaled(value)
        made[value] = directory / str(value)
        tf.saved_model.save(module, str(made[value]), signatures=module.score)
    return made


def roll(models, versions, batching, connect, directory, open_model=LocalModel):
    """Roll out so many versions, every third of them broken, while eight clients ask all the time.

    Args:
        models: as of `scaled_models`.
        versions: how many.
        batching: the server's parameters; None for none.
        connect: gives clients of a server.
        directory: an empty one, to work in.
        open_model: loads the SavedModel of a version.

    Returns:
        How many answers each version gave over gRPC, and all over REST, under "rest". Each was right and
        none was missing.
    """
    served = directory / "served"
    expected = {1: 1}
    shutil.copytree(models[1], served / "1")
    answers = Counter()
    done = threading.Event()

    def ask(client, api, seed):
        random = np.random.default_rng(seed)
        while not done.is_set():
            x = random.normal(size=random.choice(SIZES)).astype(np.float32)
            if api == "grpc":
                response = client.predict({"x": x})
                version = response.model_spec.version.value
                (proto,) = response.outputs.values()
                np.testing.assert_array_equal(tf.make_ndarray(proto), x * expected[version])
                answers[version] += 1
            else:
                response = client.post({"instances": x.tolist()})
                assert response.status_code == 200, response.text
                scores = np.float32(response.json()["predictions"])
                assert scores.shape == x.shape
                assert any(np.array_equal(scores, x * value) for value in models)
                answers["rest"] += 1

    server = Server(served, "ranker", port=0, rest_port=0, poll_seconds=0.02, batching=batching)
    server.open_model = open_model
    with server, ThreadPoolExecutor(CLIENTS) as pool:
        asking = [
            pool.submit(ask, connect(server), api, seed)
            for seed, api in enumerate(["grpc", "rest"] * (CLIENTS // 2))
        ]
        watching = connect(server)
        try:
            for number in range(2, versions + 1):
                value = number % len(models) + 1
                shutil.copytree(models[value], directory / "made")
                state = "AVAILABLE"
                if number % 3 == 0:
                    break_version(directory / "made", BREAKS[number // 3 % len(BREAKS)])
                    state = "END"
                else:
                    expected[number] = value
                (directory / "made").rename(served / str(number))
                _wait_for(lambda n=number, s=state: watching.status().get(n, ("",))[0] == s, asking)
                if state == "AVAILABLE":
                    _wait_for(lambda n=number: answers[n], asking)
        finally:
            done.set()
        for client in asking:
            client.result()
    return answers


def _wait_for(condition, asking):
    end = time.monotonic() + 60
    while not condition():
        for one in asking:
            if one.done():
                one.result()
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
