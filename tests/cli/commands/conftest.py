"""A model that is clean, one whose scores depend on the batch, their examples and an export."""

import keras
import numpy as np
import pytest
from command_line import run

from tfnorm.layers import BatchNormalization


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="session")
def few_examples(folder):
    path = folder / "examples.npz"
    np.savez(path, x=np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32))
    return path


def save_model(path, training):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    # One step of training leaves nothing of the initial statistics, which an export refuses.
    normalize = BatchNormalization(momentum=0.0)
    normalized = normalize(keras.layers.Dense(3)(inputs), training=training)
    model = keras.Model(inputs, keras.layers.Dense(1, name="score")(normalized))
    model(np.random.default_rng(1).standard_normal((64, 4)), training=True)
    model.save(path)
    return path


@pytest.fixture(scope="session")
def clean_file(folder):
    return save_model(folder / "clean.keras", None)


@pytest.fixture(scope="session")
def dependent_file(folder):
    return save_model(folder / "dependent.keras", True)


@pytest.fixture(scope="session")
def exported(folder, clean_file, few_examples):
    directory = folder / "exports"
    assert run("export", clean_file, directory, "--examples", few_examples) == 0
    return directory
