"""Small SavedModels, a server on them and clients for both APIs."""

import time

import pytest
import tensorflow as tf
from server.clients import client_of
from server.served_models import Constant, Everything, save_everything, save_hungry

from tfnorm.server import Server
from tfnorm.server.running.launcher import Launcher


@pytest.fixture(scope="session")
def everything():
    return Everything()


@pytest.fixture(scope="session")
def everything_directory(everything, tmp_path_factory):
    directory = tmp_path_factory.mktemp("everything")
    save_everything(everything, directory / "3")
    return directory


@pytest.fixture(scope="session")
def constants(tmp_path_factory):
    """SavedModels to publish: index -> directory of one that scores with that value."""
    directory = tmp_path_factory.mktemp("constants")
    found = {}
    for value in range(1, 4):
        module = Constant(value)
        found[value] = directory / str(value)
        tf.saved_model.save(module, str(found[value]), signatures=module.score)
    return found


@pytest.fixture(scope="session")
def hungry_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hungry")
    save_hungry(directory / "1")
    return directory


@pytest.fixture(scope="session")
def launcher():
    """What starts the processes of models: it takes seconds to start itself."""
    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="session")
def server(everything_directory):
    with Server(everything_directory, "ranker", port=0, rest_port=0) as server:
        yield server


@pytest.fixture(scope="session")
def connect():
    """Clients of a server: `predict`, `metadata`, `status` over gRPC, `get`, `post` over REST."""
    opened = []

    yield lambda server: client_of(server, opened)
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def client(server, connect):
    return connect(server)


@pytest.fixture(scope="session")
def eventually():
    """Waits until `condition` holds."""

    def eventually(condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    return eventually
