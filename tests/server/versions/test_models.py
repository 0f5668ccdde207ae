"""Versions come and go under a running server."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError
from tfnorm.server.versions.models import ServedModel

X = np.zeros(2, np.float32)
LATEST = ModelSpec(name="ranker")


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


def score(model, spec=LATEST):
    with model.version(spec) as loaded:
        return float(loaded.model.run({"x": X})["score"][0])


def states(model):
    name = ModelVersionStatus.State.Name
    return {status.version: name(status.state) for status in model.statuses(LATEST)}


def specific(number):
    spec = ModelSpec(name="ranker")
    spec.version.value = number
    return spec


def test_a_newer_version_takes_over(serve, publish, eventually):
    model = serve()
    assert score(model) == 1
    publish(2, 2)
    eventually(lambda: score(model) == 2)
    eventually(lambda: states(model) == {2: "AVAILABLE", 1: "END"})
    assert score(model, specific(2)) == 2
    with pytest.raises(tf.errors.NotFoundError):
        score(model, specific(1))


def test_versions_compare_as_numbers(serve, publish, eventually):
    model = serve()
    publish(9, 2)
    eventually(lambda: score(model) == 2)
    publish(10, 3)
    eventually(lambda: score(model) == 3)


def test_a_request_in_flight_finishes_on_the_version_that_it_began_on(serve, publish, eventually):
    model = serve()
    with model.version(LATEST) as old:
        publish(2, 2)
        eventually(lambda: score(model) == 2)
        assert states(model) == {2: "AVAILABLE", 1: "UNLOADING"}
        assert old.number == 1
        assert old.model.run({"x": X})["score"][0] == 1
    assert states(model) == {2: "AVAILABLE", 1: "END"}
    with pytest.raises(RuntimeError, match="closed"):
        old.model.run({"x": X})


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
    status = model.statuses(specific(2))[0].status
    assert status.error_code != 0
    assert str(damaged) in status.error_message
    assert score(model) == 1

    shutil.copytree(constants[2], damaged, dirs_exist_ok=True)
    eventually(lambda: score(model) == 2)
    assert model.statuses(specific(2))[0].status.error_message == ""


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
    update = model._update
    monkeypatch.setattr(model, "_update", lambda: (looks.append(0), update()))
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
    update = model._update
    (tmp_path / "versions").rename(tmp_path / "away")
    model._update = lambda: (looks.append(0), update())
    eventually(lambda: len(looks) > 5)
    assert score(model) == 1


def test_a_damaged_version_alone_can_not_be_served(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(InputError, match="can't be loaded"):
        ServedModel("ranker", tmp_path)
