"""What the tests of the cluster share."""

import json

import keras
import numpy as np
import pytest

import tfnorm


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
