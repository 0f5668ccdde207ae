"""Many clients on both APIs while versions change."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.server import Server

THREADS = 8
CALLS = 250
EXAMPLES = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)


@pytest.fixture
def versions(tmp_path):
    """Three exports of a Keras model with different weights: number -> directory and scores."""
    made = {}
    for number in (1, 2, 3):
        keras.utils.set_random_seed(number)
        inputs = keras.Input((4,), name="x")
        hidden = keras.layers.BatchNormalization()(keras.layers.Dense(16, "relu")(inputs))
        model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid", name="score")(hidden))
        directory = tmp_path / "made" / str(number)
        model.export(str(directory), verbose=False)
        made[number] = directory, model(EXAMPLES, training=False).numpy()[:, 0]
    return made


@pytest.mark.slow
def test_every_call_is_answered_with_the_scores_of_one_version_while_newer_ones_appear(
    versions, tmp_path, connect, eventually
):
    base = tmp_path / "served"
    shutil.copytree(versions[1][0], base / "1")
    answered = {"grpc": [], "rest": []}

    def ask(client, api, name, rows):
        """The call's scores, and the versions that may have given them."""
        if api == "grpc":
            response = client.predict({name: rows})
            (proto,) = response.outputs.values()
            return tf.make_ndarray(proto)[:, 0], [response.model_spec.version.value]
        response = client.post({"instances": rows.tolist()})
        assert response.status_code == 200, response.text
        return np.float32(response.json()["predictions"])[:, 0], list(versions)

    def run(client, api, name, seed):
        random = np.random.default_rng(seed)
        for _ in range(CALLS):
            rows = random.choice(len(EXAMPLES), random.choice([1, 2, 3, 7, 32, 100]))
            scores, candidates = ask(client, api, name, EXAMPLES[rows])
            assert scores.shape == rows.shape
            distances = {
                number: np.abs(scores - versions[number][1][rows]).max() for number in candidates
            }
            (version,) = (number for number, distance in distances.items() if distance <= 1e-6)
            answered[api].append(version)

    with Server(base, "ranker", port=0, rest_port=0, poll_seconds=0.05) as server:
        metadata = connect(server).get("/metadata").json()["metadata"]
        signature = metadata["signature_def"]["signature_def"]["serving_default"]
        (name,) = signature["inputs"]
        with ThreadPoolExecutor(THREADS) as pool:
            calls = [
                pool.submit(run, connect(server), api, name, seed)
                for seed, api in enumerate(["grpc", "rest"] * (THREADS // 2))
            ]
            for number, share in [(2, 0.25), (3, 0.6)]:
                enough = share * THREADS * CALLS
                eventually(lambda enough=enough: sum(map(len, answered.values())) > enough, 120)
                shutil.copytree(versions[number][0], tmp_path / "unfinished")
                (tmp_path / "unfinished").rename(base / str(number))
            for call in calls:
                call.result()
        assert sum(map(len, answered.values())) == THREADS * CALLS == 2_000
        assert set(answered["grpc"]) == set(answered["rest"]) == {1, 2, 3}
        states = {version: state for version, (state, _) in connect(server).status().items()}
        assert states == {3: "AVAILABLE", 2: "END", 1: "END"}
