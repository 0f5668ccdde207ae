"""How many examples, and which compositions, there is time for: by a clock that the scorer moves."""

import json
from dataclasses import replace

import numpy as np
import pytest
from verify.made_scorers import FunctionScorer

from tfnorm.examples.load import Loaded
from tfnorm.scorers.scorer import Fed
from tfnorm.verify import Undecided
from tfnorm.verify.compositions.budget import SECONDS, Budget
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.request import FEW, FEWEST, Request
from tfnorm.verify.run import run

X = np.random.default_rng(0).normal(size=4096).astype(np.float32)


class Slow:
    """A model that takes so long a row, and a call, by a clock of its own."""

    def __init__(self, a_row, a_call=0.0, spoil=0.0):
        self.now = 0.0
        self.a_row, self.a_call, self.spoil = a_row, a_call, spoil
        self.rows = 0

    def __call__(self, feeds):
        self.now += self.a_call + self.a_row * len(feeds["x"])
        self.rows += len(feeds["x"])
        return {"score": feeds["x"] + np.float32(self.spoil) * feeds["x"].mean()}


def _request(model, count, seconds=SECONDS, **changes):
    rows = {"x": X[:count]}
    budget = Budget(seconds, lambda: model.now)
    given = {
        "scorer": FunctionScorer(model, precision="float32"),
        "local": None,
        "examples": Loaded(rows, count, None, []),
        "tolerance": Tolerance(),
        "labels": None,
        "batch_sizes": None,
        "allowed": (),
        "unpadded": (),
        "seed": 0,
        "budget": budget,
    }
    return Request(**{**given, **changes})


def test_two_examples_of_a_slow_model_are_quick():
    model = Slow(0.044)
    report = run(_request(model, 2))
    assert report.passed
    assert model.now <= 30.1
    kinds = {result.kind for result in report.compositions}
    assert kinds >= {"size", "neighbours", "position", "padding rows", "order", "repeat"}
    assert {"batches of 16", "among others at 1000x"} <= {r.name for r in report.compositions}
    assert set(report.left_out.values()) == {"the budget of 30 s does not do for it"}
    assert "a batch of 4096" in report.left_out
    assert not report.left_out.keys() & {result.name for result in report.compositions}
    said = " ".join(str(report).split())
    done = f"2 examples, {len(report.compositions)} compositions in batches of up to "
    assert f"PASSED {done}" in said and f", {len(report.left_out)} left out: no score" in said


@pytest.mark.parametrize("spoil", [1e-5, 1.0])
def test_a_slow_model_that_depends_on_its_neighbours_fails(spoil):
    report = run(_request(Slow(0.044, spoil=spoil), 2, 12.0))
    assert report.passed is False
    assert report.left_out


def test_of_many_examples_of_a_slow_model_some_are_scored_in_as_many_compositions_as_can_be():
    model = Slow(0.044)
    report = run(_request(model, 4096, 60.0))
    assert report.passed
    assert (report.examples, report.examples_given) == (FEW, 4096)
    assert model.now <= 62
    assert len({result.kind for result in report.compositions}) >= 6


def test_a_fast_model_scores_all_and_leaves_nothing_out():
    model = Slow(2e-6, 1e-4)
    report = run(_request(model, 1024))
    assert (report.examples, report.left_out) == (1024, {})
    assert model.now < 30


def test_examples_are_halved_until_there_is_time_for_every_composition():
    model = Slow(2e-5, 1e-3)
    report = run(_request(model, 4096))
    assert FEW < report.examples < 4096
    count = report.examples
    reason = f"the budget of 30 s does for {count:,} of 4,096 examples"
    assert report.left_out == {"more examples": reason} and model.now < 30
    assert report.examples_given == 4096


def test_logged_requests_that_there_is_no_time_for_are_left_out():
    model = Slow(2e-5, 1e-3)
    request = _request(model, 1024, 5.0)
    request = replace(request, examples=replace(request.examples, requests=[8] * 128))
    report = run(request)
    assert report.left_out.keys() == {"more examples", "as the requests came"}


def test_of_a_very_slow_model_fewer_are_scored_in_the_most_telling_compositions():
    model = Slow(0.5)
    report = run(_request(model, 128))
    assert report.passed
    assert FEWEST <= report.examples < FEW
    assert model.now <= 40
    names = {result.name for result in report.compositions}
    assert {"among others at 1000x", "batches of 16", "one at a time, again"} <= names


def test_labels_go_with_their_examples():
    model = Slow(0.01, spoil=3.0)
    labels = (X > 0.5).astype(int)
    report = run(_request(model, 4096, labels=labels))
    assert report.examples < 4096
    assert report.stake.auc[1] == 1.0


@pytest.mark.parametrize("seconds", [0.1, 1.0, 1.6])
def test_a_budget_that_is_too_small_for_a_verdict_is_told(seconds):
    with pytest.raises(Undecided, match="give more by --budget") as error:
        run(_request(Slow(0.044), 16, seconds))
    report = error.value.report
    assert report.passed is None and report.compositions
    assert report.budget == seconds


def test_without_an_end_everything_is_scored():
    model = Slow(1.0)
    report = run(_request(model, 3, float("inf")))
    assert report.left_out == {} and report.passed
    assert report.to_dict()["budget"] is None
    assert type(report).from_dict(report.to_dict()) == report


def test_large_rows_are_scored_in_batches_of_8_megabytes():
    largest = []

    def score(feeds):
        largest.append(sum(array.nbytes for array in feeds.values()))
        return {"score": feeds["x"][:, 0]}

    wide = np.zeros((10, 44_000), np.float32)
    wide[:, 0] = X[:10]
    request = _request(Slow(0.0), 10, examples=Loaded({"x": wide}, 10, None, []))
    request.scorer.function = score
    report = run(request)
    assert report.passed
    assert max(largest) <= 1 << 23
    assert report.left_out == {"batches of more than 47": "their inputs would be over 8 MB"}
    assert {"batches of 32", "all at once"} <= {result.name for result in report.compositions}


def test_rows_over_the_cap_by_themselves_are_scored_in_twos_and_threes(monkeypatch):
    monkeypatch.setattr("tfnorm.verify.compositions.agenda.BATCH_BYTES", 100)
    wide = np.zeros((5, 50), np.float32)
    wide[:, 0] = X[:5]
    request = _request(Slow(0.0), 5, examples=Loaded({"x": wide}, 5, None, []))
    request.scorer.function = lambda feeds: {"score": feeds["x"][:, 0]}
    report = run(request)
    assert report.passed
    assert {result.batch_size for result in report.compositions} == {1, 2, 3}
    assert "batches of more than 3" in report.left_out


def test_what_was_fed_is_told_as_json():
    request = _request(Slow(0.0), 2)
    constants = {
        "flag": np.array(True),
        "rate": np.float32(0.5),
        "where": np.array([b"a", b"\xff"], object),
        "place": np.array(b"x", object),
        "k": np.array([1, 2], np.uint8),
    }
    request.scorer.defaults = {"x": np.zeros(1), "t": np.array(2.0)}
    fed = replace(request, scorer=Fed(request.scorer, constants)).fed
    assert {name: json.loads(value) for name, value in fed.items()} == {
        "flag": True,
        "rate": 0.5,
        "where": ["a", "\N{REPLACEMENT CHARACTER}"],
        "place": "x",
        "k": [1, 2],
        "t": 2.0,
    }
