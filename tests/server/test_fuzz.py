"""Requests and files that are wrong in some way: none hurts. `benchmarks/fuzz.py` runs on for longer."""

import http.client
import shutil

import grpc
import pytest
from server.fuzzing import Fuzzer, grpc_problem, rest_problem

from tfnorm.assets import warmup_file
from tfnorm.errors import InputError
from tfnorm.server.running.local import LocalModel
from tfnorm.server.versions import warmup
from tfnorm.server.versions.loaded import LoadedVersion

REQUESTS = 250


def test_no_rest_request_makes_the_server_fail(server):
    fuzzer = Fuzzer(0)
    connection = http.client.HTTPConnection(server.host, server.rest_port, timeout=30)
    problems = []
    for _ in range(REQUESTS):
        request = fuzzer.rest()
        request.send(connection)
        response = connection.getresponse()
        body = response.read()
        if request.method != "OPTIONS":
            problems.append(rest_problem(response.status, body, request))
    connection.close()
    assert not [problem for problem in problems if problem]


def test_no_grpc_call_makes_the_server_fail(client):
    fuzzer = Fuzzer(0)
    problems = []
    for _ in range(REQUESTS):
        service, method, data = fuzzer.grpc()
        try:
            client.raw(method, data, service)
        except grpc.RpcError as error:
            problems.append(grpc_problem(error.code().name, error.details(), method))
    assert not [problem for problem in problems if problem]


@pytest.mark.parametrize(
    "part", ["saved_model.pb", "variables/variables.index", "variables/*data*"]
)
def test_a_damaged_version_is_an_error_or_is_served(part, constants, tmp_path):
    fuzzer = Fuzzer(0)
    refused = 0
    for number in range(15):
        path = tmp_path / str(number)
        shutil.copytree(constants[1], path)
        (file,) = path.glob(part)
        file.write_bytes(fuzzer.mutated(file.read_bytes()))
        try:
            LoadedVersion(number, LocalModel(path), None, 10**6).close()
        except InputError as error:
            assert str(error)
            refused += 1
    assert refused


def test_a_damaged_warm_up_file_is_an_error_or_is_replayed(everything_directory, tmp_path):
    fuzzer = Fuzzer(0)
    loaded = LoadedVersion(3, LocalModel(everything_directory / "3"), None, 10**6)
    file = warmup_file(tmp_path)
    file.parent.mkdir()
    refused = 0
    for _ in range(25):
        fuzzer.warmup(file)
        try:
            warmup.replay(tmp_path, loaded, 10**6)
        except InputError as error:
            assert str(error)
            refused += 1
    loaded.close()
    assert 5 < refused < 25
