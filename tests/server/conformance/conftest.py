"""Two servers on the SavedModel with every kind of signature: one puts requests together."""

import json
from http.client import HTTPConnection

import pytest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest

from tfnorm.server import BatchingParameters, Server

BATCHING = BatchingParameters(
    max_batch_size=16, batch_timeout_micros=0, allowed_batch_sizes=(4, 16), num_batch_threads=2
)


@pytest.fixture(scope="package", params=[False, True], ids=["plain", "batching"])
def batching(request):
    return request.param


@pytest.fixture(scope="package")
def labelled(batching, everything_directory, connect):
    """The server, on which version 3 has the label stable."""
    parameters = BATCHING if batching else None
    with Server(everything_directory, "ranker", port=0, rest_port=0, batching=parameters) as server:
        request = ReloadConfigRequest()
        config = request.config.model_config_list.config.add(
            name="ranker", base_path=str(everything_directory), model_platform="tensorflow"
        )
        config.version_labels["stable"] = 3
        connect(server).raw(
            "HandleReloadConfigRequest", request.SerializeToString(), "ModelService"
        )
        yield server


class Answer:
    """As of the requests package, which would quote a path before it is sent."""

    def __init__(self, response):
        self.status_code = response.status
        self.headers = response.headers
        self.content = response.read()
        self.text = self.content.decode(errors="replace")

    def json(self):
        return json.loads(self.content)


@pytest.fixture(scope="package")
def http_connection(labelled):
    connection = HTTPConnection(labelled.host, labelled.rest_port, timeout=30)
    yield connection
    connection.close()


@pytest.fixture
def http(http_connection):
    """Sends a request as it is given."""

    def ask(method, path, data=b"", headers=()):
        http_connection.request(method, path, data, dict(headers))
        return Answer(http_connection.getresponse())

    return ask


@pytest.fixture(scope="package")
def rpc(labelled, connect):
    """Sends bytes to a method of a service."""
    return connect(labelled).raw
