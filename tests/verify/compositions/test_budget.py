import math

import numpy as np
import pytest
from verify.made_scorers import FunctionScorer

from tfnorm.errors import InputError
from tfnorm.verify.compositions.budget import Budget
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.compositions.runner import Runner


def _of(count, size):
    return Composition(f"{count} of {size}", "size", np.zeros((count, size), int))


def test_the_first_batch_counts_for_nothing():
    budget = Budget(10.0)
    budget.record(4, 100.0)
    assert (budget.spent, budget.left, budget.expected([_of(3, 4)])) == (0.0, 10.0, 0.0)
    budget.record(4, 2.0)
    budget.record(4, 4.0)
    assert (budget.spent, budget.left, budget.expected([_of(3, 4)])) == (6.0, 4.0, 6.0)


def test_a_batch_takes_no_longer_than_a_larger_one_nor_a_row_than_in_a_smaller_one():
    budget = Budget()
    for rows, seconds in ((1, 9.0), (1, 1.0), (16, 4.0)):
        budget.record(rows, seconds)
    expected = {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 8: 4.0, 16: 4.0, 32: 8.0, 256: 64.0}
    assert {size: budget.expected([_of(1, size)]) for size in expected} == expected
    assert budget.expected([_of(2, 2), _of(1, 256)]) == 68.0
    assert budget.left == math.inf


def test_a_budget_says_how_much_it_is():
    assert str(Budget(0.5)) == "the budget of 0.5 s"


@pytest.mark.parametrize("kind", ["size", "concurrent"])
def test_the_time_is_that_of_the_scorer(kind):
    clock = [0.0]

    def score(feeds):
        clock[0] += 0.5 * len(feeds["x"])
        return {"score": feeds["x"]}

    budget = Budget(60.0, lambda: clock[0])
    rows = {"x": np.arange(4.0)}
    runner = Runner(FunctionScorer(score), 9, None, budget)
    runner.scored(Composition("a", "size", np.arange(2)[:, None]), rows)
    assert budget.spent == 0.5
    batches = np.arange(4).reshape(2, 2)
    runner.scored(Composition("b", kind, batches), rows)
    assert budget.spent == 2.5


def test_what_a_refused_batch_took_counts_too():
    clock = [0.0]

    def refuse(feeds):
        clock[0] += 5.0
        raise InputError("out of memory")

    budget = Budget(60.0, lambda: clock[0])
    runner = Runner(FunctionScorer(refuse), 9, None, budget)
    with pytest.raises(InputError, match="out of memory"):
        runner.scored(Composition("a", "size", np.arange(2)[:, None]), {"x": np.arange(4.0)})
    assert budget.spent == 5.0
    assert budget.expected([_of(1, 1)]) == 0.0
