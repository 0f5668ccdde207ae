"""A sample of what `benchmarks/statistics_gate.py` measures: short trainings, and the same repaired."""

import runpy
from pathlib import Path

import keras
import numpy as np
import pytest

from tfnorm.export.tracing.interface import interface
from tfnorm.statistics import recalibrate_statistics
from tfnorm.statistics.fit import statistics_fit

GATE = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "statistics_gate.py"))
KINDS = ("log-normal: bn", "flags: dice", "heavy tails: relu, bn")


@pytest.fixture(scope="module", params=KINDS)
def trained(request):
    """A case whose model has been trained for 120 steps as the benchmark does it, and the rows."""
    keras.utils.set_random_seed(2)
    case = GATE["kinds"]()[request.param]()
    rng = np.random.default_rng(2)
    features, labels = case.drawn(120 * GATE["BATCH"], rng)
    case.model.compile(case.optimizer(), case.loss)
    case.model.fit(features, labels, batch_size=GATE["BATCH"], verbose=0)
    return case, features


def verdicts(case):
    rng = np.random.default_rng(3)
    found = []
    for rows in (64, 512):
        held_out, _ = case.drawn(rows, rng)
        found.append(statistics_fit(case.model, interface(case.model, held_out).score, held_out))
    return [fit.verdict for fit in found]


@pytest.mark.slow
def test_a_short_training_is_off_and_recalibrated_it_is_not(trained):
    case, features = trained
    assert verdicts(case) == ["off", "off"]
    kept = case.model.get_weights()
    recalibrate_statistics(case.model, features)
    small, large = verdicts(case)
    case.model.set_weights(kept)
    assert small in ("fits", "undecided")
    assert large == "fits"


def test_there_are_more_than_thirty_kinds():
    assert len(GATE["kinds"]()) > 30
