"""Logs of traffic that the development server answered, with batching and without."""

import numpy as np
import pytest
import tensorflow as tf
from replay.traffic import Module, recorded, requests, save, write

import tfnorm
from tfnorm.server import BatchingParameters, Server

SEEDS = range(20)
# A batch is full with three of the requests, so that each is answered with two others.
BATCHING = BatchingParameters(max_batch_size=9, batch_timeout_micros=10_000_000)
TOGETHER = 3
SERVED = [("ranker", False), ("ranker", True), ("dice", False), ("dice", True), ("logits", False)]


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Two versions of a ranker, one that normalizes with the batch's statistics, and one of logits."""
    directory = tmp_path_factory.mktemp("exports")
    for version in (1, 2):
        save(Module(version), directory / "ranker" / str(version))
    save(Module(1, by_batch=True), directory / "dice" / "1")
    save(Module(2, logits=True), directory / "logits" / "2")
    return directory


@pytest.fixture(scope="module")
def answers(exports):
    """What the server answered to the requests of each seed: model, whether it batches, seed -> the logs."""
    found = {}
    for model, batching in SERVED:
        with Server(
            exports / model, "ranker", port=0, rest_port=0, batching=BATCHING if batching else None
        ) as server:
            for seed in SEEDS:
                asked = requests(seed, 12, rows=(3, 3) if batching else (1, 6))
                found[model, batching, seed] = recorded(
                    server, asked, clients=2 * TOGETHER if batching else 1
                )
    return found


@pytest.fixture
def log(answers, tmp_path):
    """A function from model, whether the server batches, and seed to the log's file."""
    return lambda *of: write(tmp_path / "requests.tfrecord", answers[of])


@pytest.fixture(scope="module")
def models(exports):
    """The versions, loaded."""
    names = ("ranker/1", "ranker/2", "dice/1")
    scorers = {name: tfnorm.load_scorer(exports / name) for name in names}
    yield scorers
    for scorer in scorers.values():
        scorer.close()


@pytest.mark.parametrize("batching", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_its_own_model_is_equal(seed, batching, models, log):
    report = tfnorm.replay(log("ranker", batching, seed), models["ranker/2"])
    assert report.verdict == "equal" and report.passed
    assert report.model.versions == {"2": [12, 0]}
    assert report.model.max_abs_diff < 1e-6
    assert not report.model.dependence.depends
    assert "scores depend on the batch" not in str(report)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_batchs_statistics_are_equal_in_the_batches_as_logged_and_that_is_said(
    seed, models, log
):
    report = tfnorm.replay(log("dice", False, seed), models["dice/1"])
    assert report.verdict == "equal"
    assert report.model.dependence.depends and report.model.dependence.move > 0.01
    assert "scores depend on the batch" in str(report)


@pytest.mark.parametrize("seed", SEEDS)
def test_with_server_side_batching_it_is_said_that_this_explains_what_differs(seed, models, log):
    report = tfnorm.replay(log("dice", True, seed), models["dice/1"])
    assert report.verdict == "different"
    cause = report.model.causes[0]
    assert cause.kind == "server batching" and "scores depend on the batch" in cause.said


@pytest.mark.parametrize("seed", SEEDS)
def test_another_version_is_named_with_its_place(seed, models, exports, log):
    report = tfnorm.replay(log("ranker", False, seed), models["ranker/1"])
    cause = report.model.causes[0]
    assert (cause.kind, cause.certain) == ("version", True)
    assert f"version 2 ({exports / 'ranker' / '2'}) gives the logged scores" in cause.said
    assert report.verdict == "different"


@pytest.mark.parametrize("seed", SEEDS)
def test_inputs_that_the_log_has_otherwise_in_one_feature_differ(seed, models, answers, tmp_path):
    rng, changed = np.random.default_rng(seed), []
    for one in answers["ranker", False, seed]:
        copy = type(one).FromString(one.SerializeToString())
        x = tf.make_ndarray(copy.predict_log.request.inputs["x"])
        x[:, seed % 4] = rng.normal(size=len(x))
        copy.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
        changed.append(copy)
    report = tfnorm.replay(write(tmp_path / "log", changed), models["ranker/2"])
    assert report.verdict == "different"
    cause = report.model.causes[0]
    assert cause.kind == "inputs" and f"'x'[{seed % 4}]" in cause.said


@pytest.mark.parametrize("seed", SEEDS)
def test_logits_are_a_transformed_score(seed, models, log):
    report = tfnorm.replay(log("logits", False, seed), models["ranker/2"])
    assert report.verdict == "different"
    cause = report.model.causes[0]
    assert (cause.kind, cause.certain) == ("transformed", True) and "logits" in cause.said


def test_two_models_are_put_side_by_side(exports, log):
    report = tfnorm.replay(
        log("ranker", False, 0), exports / "ranker" / "2", exports / "ranker" / "1"
    )
    assert (report.verdict, report.against.verdict) == ("equal", "different")
    assert report.against.ranking.pairs_changed > 0
    assert "had it served: " in str(report)


@pytest.mark.slow
def test_a_server_can_be_the_model(exports, log):
    with Server(exports / "ranker", "ranker", port=0, rest_port=0) as server:
        for url in (server.grpc_url, server.rest_url):
            assert tfnorm.replay(log("ranker", False, 0), url).verdict == "equal"
