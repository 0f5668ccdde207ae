"""Versions come and go under a running server."""

import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf
from server.served_models import BREAKS, break_version
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from tfnorm.errors import InputError
from tfnorm.server.versions import served
from tfnorm.server.versions.policy import VersionPolicy
from tfnorm.server.versions.served import ServedModel

X = np.zeros(2, np.float32)


@pytest.fixture
def publish(constants, tmp_path):
    """Puts the SavedModel that scores with `value` at a version, as an exporter does."""

    def publish(version, value):
        shutil.copytree(constants[value], tmp_path / "unfinished")
        return (tmp_path / "unfinished").rename(tmp_path / "versions" / str(version))

    (tmp_path / "versions").mkdir()
    return publish


@pytest.fixture
def serve(publish, tmp_path):
    """Publishes version 1, which scores with 1, and serves it."""
    started = []

    def serve():
        publish(1, 1)
        started.append(ServedModel("ranker", tmp_path / "versions", poll_seconds=0.02))
        return started[0]

    yield serve
    for model in started:
        model.close()


def score(model, number=None):
    with model.version(number) as loaded:
        return float(loaded.run({"x": X}, signature="serving_default")["score"][0])


def states(model):
    name = ModelVersionStatus.State.Name
    return {number: name(status.state) for number, status in model.statuses().items()}


def test_a_newer_version_takes_over(serve, publish, eventually):
    model = serve()
    assert score(model) == 1
    publish(2, 2)
    eventually(lambda: score(model) == 2)
    eventually(lambda: states(model) == {2: "AVAILABLE", 1: "END"})
    assert score(model, 2) == 2
    with pytest.raises(tf.errors.NotFoundError):
        score(model, 1)


def test_versions_compare_as_numbers(serve, publish, eventually):
    model = serve()
    publish(9, 2)
    eventually(lambda: score(model) == 2)
    publish(10, 3)
    eventually(lambda: score(model) == 3)


def test_a_request_in_flight_finishes_on_the_version_that_it_began_on(serve, publish, eventually):
    model = serve()
    with model.version() as old:
        publish(2, 2)
        eventually(lambda: states(model) == {2: "AVAILABLE", 1: "UNLOADING"})
        assert score(model) == 2
        assert old.number == 1
        assert old.run({"x": X}, signature="serving_default")["score"][0] == 1
    assert states(model) == {2: "AVAILABLE", 1: "END"}
    with pytest.raises(tf.errors.UnavailableError, match="unloaded"):
        old.run({"x": X}, signature="serving_default")


def test_a_version_that_is_not_written_to_its_end_is_not_taken_up(
    serve, publish, eventually, tmp_path
):
    model = serve()
    written = publish(2, 2)
    eventually(lambda: score(model) == 2)
    (tmp_path / "versions" / "3").mkdir()
    shutil.copytree(written / "variables", tmp_path / "versions" / "3" / "variables")
    publish(4, 3)
    eventually(lambda: score(model) == 3)
    assert 3 not in states(model)


def test_a_version_that_can_not_be_loaded_leaves_the_one_before_it(
    serve, publish, eventually, constants, tmp_path
):
    model = serve()
    damaged = tmp_path / "versions" / "2"
    damaged.mkdir()
    (damaged / "saved_model.pb").write_bytes(b"damaged")
    eventually(lambda: states(model) == {2: "END", 1: "AVAILABLE"})
    status = model.statuses()[2].status
    assert status.error_code != 0
    assert str(damaged) in status.error_message
    assert score(model) == 1

    shutil.copytree(constants[2], damaged, dirs_exist_ok=True)
    eventually(lambda: score(model) == 2)
    assert model.statuses()[2].status.error_message == ""


def test_a_damaged_version_is_tried_once(serve, eventually, tmp_path, monkeypatch):
    model = serve()
    tried = []
    load = model._load
    monkeypatch.setattr(
        model, "_load", lambda number, path: (tried.append(number), load(number, path))
    )
    damaged = tmp_path / "versions" / "2"
    damaged.mkdir()
    (damaged / "saved_model.pb").write_bytes(b"damaged")
    eventually(lambda: 2 in states(model))
    (damaged / "variables").mkdir()
    eventually(lambda: len(tried) == 2)
    looks = []
    update = model.look
    monkeypatch.setattr(model, "look", lambda: (looks.append(0), update()))
    eventually(lambda: len(looks) > 5)
    assert tried == [2, 2]


def test_a_number_beyond_int64_is_no_version(serve, publish, eventually):
    publish(2**63, 2)
    model = serve()
    assert score(model) == 1
    publish(2**63 - 1, 3)
    eventually(lambda: score(model) == 3)


def test_deleting_the_newest_version_brings_back_the_one_before_it(
    serve, publish, eventually, tmp_path
):
    model = serve()
    publish(2, 2)
    eventually(lambda: score(model) == 2)
    shutil.rmtree(tmp_path / "versions" / "2")
    eventually(lambda: score(model) == 1)
    eventually(lambda: states(model) == {2: "END", 1: "AVAILABLE"})


def test_with_every_version_deleted_there_is_none_until_one_appears(
    serve, publish, eventually, tmp_path
):
    model = serve()
    shutil.rmtree(tmp_path / "versions" / "1")
    eventually(lambda: states(model) == {1: "END"})
    with pytest.raises(tf.errors.NotFoundError):
        score(model)
    publish(1, 3)
    eventually(lambda: states(model) == {1: "AVAILABLE"})
    assert score(model) == 3


def test_the_model_stays_while_its_directory_is_away(serve, publish, eventually, tmp_path):
    model = serve()
    looks = []
    update = model.look
    (tmp_path / "versions").rename(tmp_path / "away")
    model.look = lambda: (looks.append(0), update())
    eventually(lambda: len(looks) > 5)
    assert score(model) == 1


@pytest.mark.parametrize("how", BREAKS)
def test_whatever_a_version_does_it_ends_with_its_error_and_the_next_is_loaded(
    how, serve, publish, eventually, constants, tmp_path
):
    model = serve()
    shutil.copytree(constants[2], tmp_path / "broken")
    break_version(tmp_path / "broken", how)
    (tmp_path / "broken").rename(tmp_path / "versions" / "2")
    eventually(lambda: states(model) == {2: "END", 1: "AVAILABLE"})
    status = model.statuses()[2].status
    assert status.error_code != 0
    assert status.error_message
    assert "\n" not in status.error_message
    assert score(model) == 1
    publish(3, 3)
    eventually(lambda: score(model) == 3)


def test_an_error_that_nobody_expects_ends_the_version_alone(
    serve, publish, eventually, monkeypatch
):
    model = serve()

    class Hostile(served.LoadedVersion):
        def __init__(self, number, *arguments):
            if number == 2:
                raise ZeroDivisionError("over\nhere")
            super().__init__(number, *arguments)

    monkeypatch.setattr(served, "LoadedVersion", Hostile)
    publish(2, 2)
    eventually(lambda: states(model) == {2: "END", 1: "AVAILABLE"})
    assert model.statuses()[2].status.error_message == "ZeroDivisionError: over here"
    publish(3, 3)
    eventually(lambda: score(model) == 3)


def test_a_version_that_never_ends_loading_keeps_no_other_from_being_served(
    serve, publish, eventually, monkeypatch
):
    model = serve()
    ended, made = threading.Event(), []

    class Endless(served.LoadedVersion):
        def __init__(self, number, *arguments):
            assert number != 2 or ended.wait(20)
            super().__init__(number, *arguments)
            made.append(self)

    monkeypatch.setattr(served, "LoadedVersion", Endless)
    publish(2, 2)
    eventually(lambda: states(model) == {2: "LOADING", 1: "AVAILABLE"})
    publish(3, 3)
    eventually(lambda: states(model) == {3: "AVAILABLE", 2: "LOADING", 1: "END"})
    ended.set()
    eventually(lambda: states(model) == {3: "AVAILABLE", 2: "END", 1: "END"})
    assert score(model) == 3
    assert [one._closed for one in made] == [False, True]


def test_a_warm_up_that_never_ends_is_cancelled_by_a_newer_version_or_the_end(
    serve, publish, eventually, monkeypatch
):
    model = serve()
    closed = {2: threading.Event(), 4: threading.Event()}

    class Endless(served.LoadedVersion):
        def warm_up(self):
            if self.number in closed:
                assert closed[self.number].wait(20)
                raise tf.errors.CancelledError(None, None, "closed")

        def close(self, seconds=0.0):
            super().close(seconds)
            closed.get(self.number, threading.Event()).set()

    monkeypatch.setattr(served, "LoadedVersion", Endless)
    publish(2, 2)
    eventually(lambda: 2 in model._warming)
    publish(3, 3)
    eventually(lambda: states(model) == {3: "AVAILABLE", 2: "END", 1: "END"})
    publish(4, 3)
    eventually(lambda: 4 in model._warming)
    model.close()
    assert closed[4].is_set()


def test_a_version_that_takes_long_is_served_until_a_newer_one_is_loaded(
    serve, publish, eventually, monkeypatch
):
    model = serve()
    may_end = {2: threading.Event(), 3: threading.Event()}

    class Slow(served.LoadedVersion):
        def __init__(self, number, *arguments):
            assert may_end[number].wait(20)
            super().__init__(number, *arguments)

    monkeypatch.setattr(served, "LoadedVersion", Slow)
    publish(2, 2)
    eventually(lambda: 2 in states(model))
    publish(3, 3)
    eventually(lambda: 3 in states(model))
    may_end[2].set()
    eventually(lambda: score(model) == 2)
    may_end[3].set()
    eventually(lambda: states(model) == {3: "AVAILABLE", 2: "END", 1: "END"})


def test_a_version_that_fails_is_tried_again_five_times(serve, publish, eventually, monkeypatch):
    model = serve()
    tried = []

    def fail(number, *arguments):
        tried.append(number)
        raise InputError("not now")

    monkeypatch.setattr(served, "LoadedVersion", fail)
    monkeypatch.setattr(served, "_RETRY_SECONDS", 0.0)
    publish(2, 2)
    eventually(lambda: len(tried) == 6)
    looks = []
    look = model.look
    monkeypatch.setattr(model, "look", lambda: (looks.append(0), look()))
    eventually(lambda: len(looks) > 5)
    assert tried == [2] * 6
    assert states(model) == {2: "END", 1: "AVAILABLE"}


def test_a_look_that_fails_is_said_once_and_the_next_is_taken(
    serve, publish, eventually, monkeypatch, caplog
):
    model = serve()
    failed = []
    found = served.versions

    def fail(directory):
        # Servers of other tests may look for versions at the same time.
        if directory != model.directory:
            return found(directory)
        failed.append(0)
        raise OSError("the disk is away")

    monkeypatch.setattr(served, "versions", fail)
    eventually(lambda: len(failed) > 3)
    monkeypatch.setattr(served, "versions", found)
    publish(2, 2)
    eventually(lambda: score(model) == 2)
    assert caplog.text.count("the disk is away") == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_that_ends_is_said_in_the_log_and_in_every_status(
    serve, eventually, monkeypatch, caplog
):
    model = serve()

    def end():
        raise SystemExit

    monkeypatch.setattr(model, "look", end)
    eventually(lambda: model.statuses()[1].status.error_message)
    assert "no longer watched" in model.statuses()[1].status.error_message
    assert states(model) == {1: "AVAILABLE"}
    assert "no longer watched" in caplog.text
    assert score(model) == 1


def test_a_policy_says_which_versions_are_served(serve, publish, eventually):
    model = serve()
    publish(2, 2)
    publish(3, 3)
    eventually(lambda: score(model) == 3)
    model.policy = VersionPolicy(latest=None)
    model.look()
    assert [score(model, number) for number in (1, 2, 3, None)] == [1, 2, 3, 3]
    model.policy = VersionPolicy(specific=frozenset({2, 9}))
    model.look()
    assert score(model) == 2
    assert states(model) == {3: "END", 2: "AVAILABLE", 1: "END"}
    model.policy = VersionPolicy(specific=frozenset({9}))
    model.look()
    with pytest.raises(tf.errors.NotFoundError):
        score(model)


def test_a_retired_model_takes_no_more_requests_and_goes_with_its_last_one(serve):
    model = serve()
    with model.version() as loaded:
        model.retire()
        with pytest.raises(tf.errors.NotFoundError):
            score(model)
        assert loaded.run({"x": X}, signature="serving_default")["score"][0] == 1
    assert states(model) == {1: "END"}


def test_a_damaged_version_alone_can_not_be_served(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(InputError, match="can't be loaded"):
        ServedModel("ranker", tmp_path)
