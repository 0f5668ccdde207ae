"""Logs of traffic that the development server answered, with batching and without."""

import pytest
from replay.traffic import Module, recorded, requests, save, write

import tfnorm
from tfnorm.server import BatchingParameters, Server

BATCHING = BatchingParameters(max_batch_size=64, batch_timeout_micros=20_000, num_batch_threads=1)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Two versions of a ranker, and one that normalizes with the batch's statistics."""
    directory = tmp_path_factory.mktemp("exports")
    for version in (1, 2):
        save(Module(version), directory / "ranker" / str(version))
    save(Module(1, by_batch=True), directory / "dice" / "1")
    return directory


@pytest.fixture(scope="module")
def logs(exports, tmp_path_factory):
    """A log of each: model and whether the server batches -> the file."""
    directory = tmp_path_factory.mktemp("logs")
    found = {}
    for model in ("ranker", "dice"):
        for batching in (None, BATCHING):
            with Server(
                exports / model, "ranker", port=0, rest_port=0, batching=batching
            ) as server:
                answers = recorded(
                    server, requests(0, 24, rows=(1, 6)), clients=1 if batching is None else 6
                )
            found[model, batching is not None] = write(
                directory / f"{model}-{batching is not None}.tfrecord", answers
            )
    return found


@pytest.mark.parametrize("batching", [False, True])
def test_its_own_model_is_equal(batching, exports, logs):
    report = tfnorm.replay(logs["ranker", batching], exports / "ranker")
    assert report.verdict == "equal" and report.passed
    assert report.model.versions == {"2": [24, 0]}
    assert report.model.max_abs_diff < 1e-6
    assert not report.model.dependence.depends
    assert "scores depend on the batch" not in str(report)


def test_the_batchs_statistics_are_equal_in_the_batches_as_logged_and_that_is_said(exports, logs):
    report = tfnorm.replay(logs["dice", False], exports / "dice")
    assert report.verdict == "equal"
    assert report.model.dependence.depends and report.model.dependence.move > 0.01
    assert "scores depend on the batch" in str(report)


def test_with_server_side_batching_it_is_said_that_this_explains_what_differs(exports, logs):
    report = tfnorm.replay(logs["dice", True], exports / "dice")
    assert report.verdict == "different"
    cause = report.model.causes[0]
    assert cause.kind == "server batching" and "scores depend on the batch" in cause.said


def test_another_version_is_named_with_its_place(exports, logs):
    report = tfnorm.replay(logs["ranker", False], exports / "ranker" / "1")
    cause = report.model.causes[0]
    assert (cause.kind, cause.certain) == ("version", True)
    assert f"version 2 ({exports / 'ranker' / '2'}) gives the logged scores" in cause.said
    assert report.verdict == "different"


def test_two_models_are_put_side_by_side(exports, logs):
    report = tfnorm.replay(
        logs["ranker", False], exports / "ranker" / "2", exports / "ranker" / "1"
    )
    assert (report.verdict, report.against.verdict) == ("equal", "different")
    assert report.against.ranking.pairs_changed > 0
    assert "had it served: " in str(report)


def test_a_server_can_be_the_model(exports, logs):
    with Server(exports / "ranker", "ranker", port=0, rest_port=0) as server:
        for url in (server.grpc_url, server.rest_url):
            assert tfnorm.replay(logs["ranker", False], url).verdict == "equal"
