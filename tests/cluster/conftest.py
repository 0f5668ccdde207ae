"""What the tests of the cluster share."""

import json

import keras
import numpy as np
import pytest
from replay.traffic import Module, Numpy, answered, requests, save, write

import tfnorm

FILES = 6


@pytest.fixture(scope="module")
def ranker(tmp_path_factory):
    """A model, with some examples and a log beside it."""
    folder = tmp_path_factory.mktemp("ranker")
    inputs = keras.Input((2,), name="x")
    score = keras.layers.Dense(1, kernel_initializer="zeros", name="score")
    keras.Model(inputs, score(tfnorm.BatchNormalization()(inputs))).save(folder / "ranker.keras")
    np.savez(folder / "examples.npz", x=np.ones((4, 2), np.float32))
    line = {"request": {"instances": [[1.0, 1.0]]}, "response": {"predictions": [[0.0]]}}
    (folder / "log.jsonl").write_text(json.dumps(line))
    return folder / "ranker.keras"


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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
