"""What is said of a cluster that can't be reached, before anything of Ray's has started."""

import re
import sys
import time

import pytest
import ray
from command_line import free_port, run

from tfnorm.cluster.connection import connected
from tfnorm.errors import InputError


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
