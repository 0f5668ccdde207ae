"""What is said of a cluster that can't be reached, before anything of Ray's has started."""

import re
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
import ray
from command_line import free_port, run

from tfnorm.cluster import connection
from tfnorm.cluster.connection import connected
from tfnorm.errors import InputError

ASKED = {
    "": "/ray.rpc.NodeInfoGcsService/GetClusterId",
    "ray://": "/ray.rpc.RayletDriver/ClusterInfo",
}


def test_an_address_at_which_nothing_is_is_one_line_within_seconds(ranker, capsys):
    """Ray itself would wait for a minute."""
    began = time.monotonic()
    address = f"127.0.0.1:{free_port()}"
    given = ("--examples", ranker.parent, "--output", ranker.parent / "new.keras")
    assert run("recalibrate", ranker, *given, "--ray", address) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tfnorm: the Ray cluster '{address}' can't be reached: ")
    assert line.endswith(
        "accepted: local to start one here, auto, HOST:PORT or ray://HOST:PORT of one that runs"
    )
    assert time.monotonic() - began < 30
    assert not (ranker.parent / "new.keras").exists()


@contextmanager
def answering(answers):
    """The place of a gRPC server that has these methods."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, call):
            method = answers.get(call.method)
            return method and grpc.unary_unary_rpc_method_handler(method)

    server = grpc.server(ThreadPoolExecutor(1), [Handler()])
    place = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield place
    finally:
        server.stop(None).wait()


@pytest.fixture
def reached(monkeypatch):
    """The addresses that Ray was given, which connects to none."""
    reached = []
    monkeypatch.setattr(ray, "init", lambda address, **options: reached.append(address))
    return reached


@pytest.mark.parametrize("scheme", ASKED)
def test_what_answers_nothing_is_told(monkeypatch, scheme, reached):
    """Ray itself would ask it for minutes."""
    monkeypatch.setattr(connection, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"{scheme}127.0.0.1:{listener.getsockname()[1]}"
        message = f"'{address}' can't be reached: what listens there does not answer as Ray does"
        with pytest.raises(InputError, match=message), connected(address):
            pass
    assert reached == []


@pytest.mark.parametrize(("scheme", "other"), [("", "ray://"), ("ray://", "")])
def test_what_answers_as_ray_is_connected_to_and_another_is_told(scheme, other, reached):
    """Of a cluster's two addresses each is of one scheme only."""
    with answering({ASKED[scheme]: lambda request, context: b""}) as place:
        with connected(scheme + place):
            assert reached == [scheme + place]
        with (
            pytest.raises(InputError, match=r"not answer as Ray does \(UNIMPLEMENTED\); accepted"),
            connected(other + place),
        ):
            pass
    assert reached == [scheme + place]


def test_a_cluster_that_asks_for_a_token_is_told(reached):
    def refused(request, context):
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

    with (
        answering({ASKED[""]: refused}) as place,
        pytest.raises(InputError, match=r"it asks for a token, .* where RAY_AUTH_MODE is token"),
        connected(place),
    ):
        pass


def test_the_address_in_the_environment_is_asked_likewise(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match=r"'auto' can't be reached: .*refused"), connected("auto"):
        pass


@pytest.mark.parametrize("address", ["somewhere", "ray://somewhere", "host:port"])
def test_what_is_no_address_is_told(address):
    with (
        pytest.raises(InputError, match=f"'{address}' can't be reached: it is no address"),
        connected(address),
    ):
        pass


def test_without_ray_the_extra_is_named(ranker, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "ray.cloudpickle", raising=False)
    for command in (
        ("statistics", ranker, "--examples", ranker.parent),
        ("replay", ranker.parent / "log.jsonl", ranker),
    ):
        assert run(*command, "--ray", "local") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert (
            line
            == "tfnorm: work on a cluster needs the package ray: pip install '.[ray]' in a clone of tfnorm"
        )


def test_a_cluster_that_does_not_start_is_one_line(monkeypatch):
    """Ray raises Exception itself where a busy machine starts its processes too slowly."""
    tried = []

    def slow(*arguments, **options):
        tried.append(arguments)
        raise Exception("The current node timed out during startup.\nMore.")

    monkeypatch.setattr(ray, "init", slow)
    message = re.escape(
        "'local' can't be reached: The current node timed out during startup.; accepted"
    )
    with pytest.raises(InputError, match=message), connected("local"):
        pass
    assert len(tried) == 3


def test_a_cluster_that_starts_too_slowly_is_started_again(monkeypatch):
    tried = []

    def slow_once(*arguments, **options):
        tried.append(arguments)
        if len(tried) == 1:
            raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", slow_once)
    with connected("local"):
        assert tried == [("local",)] * 2


def test_a_replay_by_no_workers_is_told_before_anything_is_read(ranker, capsys):
    assert run("replay", "no.jsonl", ranker, "--ray", "local", "--workers", "0") == 2
    assert capsys.readouterr().err == "tfnorm: workers is 0; accepted: 1 or more\n"


@pytest.mark.parametrize(
    ("option", "instead"), [("--limit", "fewer files"), ("--rows", "rows stay where")]
)
def test_what_a_replay_on_a_cluster_has_not_is_told_with_what_to_do(
    ranker, capsys, option, instead
):
    value = "5" if option == "--limit" else ranker.parent / "rows.jsonl"
    assert run("replay", ranker.parent / "log.jsonl", ranker, "--ray", "local", option, value) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tfnorm: {option} is given with --ray; accepted: ") and instead in line
