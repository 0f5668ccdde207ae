import re

import numpy as np
import pytest
from verify.made_scorers import FunctionScorer

from tfnorm.errors import InputError
from tfnorm.scorers.servers.connection import Unreachable
from tfnorm.verify.compositions.agenda import BY_SCORE, agenda
from tfnorm.verify.compositions.budget import Budget
from tfnorm.verify.compositions.runner import Runner
from tfnorm.verify.scoring import attempts, left_out, pooled, taken_together, too_little

ROWS = {"x": np.arange(1.0, 9.0)}
TODO = agenda(ROWS, None, batch_sizes=[4])


def _identity(feeds):
    return {"score": feeds["x"]}


def _begun(scorer, budget=None, todo=TODO):
    """A runner that has scored the examples alone, the rows to make compositions of, and what came out."""
    runner = Runner(scorer, todo.rows, None, budget)
    alone = runner.scored(todo.alone, ROWS)
    return runner, todo, pooled(todo, ROWS, (7, 0)), alone


def _by_name(found):
    return {attempt.composition.name: attempt for attempt in found}


def test_neighbours_follow_the_examples_in_the_order_of_their_numbers():
    runner, _, rows, _ = _begun(FunctionScorer(_identity))
    expected = [ROWS["x"], *(group.rows["x"] for group in TODO.neighbours.values()), [8.0], [1.0]]
    np.testing.assert_array_equal(rows["x"], np.concatenate(expected))
    assert len(rows["x"]) == 1 + max(np.ravel(one.batches).max() for one in TODO.compositions)
    assert runner.done == 8


def test_neighbours_that_are_refused_are_told_and_no_more_tried():
    def refuse(feeds):
        if feeds["x"].max() > 100:
            raise InputError("too large")
        return _identity(feeds)

    todo = agenda(ROWS, None, batch_sizes=[8, 32], remote=True)
    runner, *begun = _begun(FunctionScorer(refuse), todo=todo)
    found = list(attempts(runner, *begun))
    missed = [one for one in found if one.left_out is not None]
    assert [one.composition.name for one in missed] == ["among others at 1000x"] * 2
    assert {one.left_out for one in missed} == {"the model refuses such rows: too large"}
    assert all(one.error is None for one in missed)
    # They are not sent at the same time as the examples either.
    assert _by_name(found)["concurrent requests"].left_out is None
    assert runner.done == todo.rows
    scored = [one.composition for one in found if one.left_out is None]
    assert left_out(scored, missed) == {
        "among others at 1000x": "the model refuses such rows: too large"
    }
    assert too_little(scored, missed, Budget()) is None


def test_neighbours_that_are_refused_in_company_alone_are_told_as_such():
    def near_each_other(feeds):
        if np.ptp(feeds["x"]) > 2_000:
            raise InputError("far apart")
        return _identity(feeds)

    runner, *begun = _begun(FunctionScorer(near_each_other))
    found = _by_name(attempts(runner, *begun))
    missed = {name: one.left_out for name, one in found.items() if one.left_out is not None}
    assert missed == {"among others at 1000x": "the model refuses such rows: far apart"}

    def none_between(feeds):
        if feeds["x"].min() < 100 < feeds["x"].max():
            raise InputError("small beside large")
        return _identity(feeds)

    runner, *begun = _begun(FunctionScorer(none_between))
    assert _by_name(attempts(runner, *begun))["among others at 1000x"].left_out == (
        "the model refuses it: small beside large"
    )


def test_examples_by_score_are_neighbours_too():
    names = [one.name for one in TODO.compositions]
    assert all(f"among {name}" in names for name in BY_SCORE)


def test_each_attempt_has_what_the_scorer_gave_and_what_its_control_gave():
    runner, todo, rows, alone = _begun(FunctionScorer(_identity))
    found = {one.composition.key: one for one in attempts(runner, todo, rows, alone)}
    for attempt in found.values():
        composition = attempt.composition
        assert attempt.left_out is None
        for batch, outputs in zip(composition.batches, attempt.outputs, strict=True):
            np.testing.assert_array_equal(outputs["score"], rows["x"][batch])
        if composition.control is None:
            assert attempt.control is None
        elif composition.control is TODO.alone:
            assert attempt.control is alone
        else:
            assert attempt.control is found[composition.control.key].outputs


def test_a_size_that_the_model_refuses_is_told_and_the_rest_goes_on():
    def at_most_300(feeds):
        if len(feeds["x"]) > 300:
            raise InputError("too many")
        return _identity(feeds)

    todo = agenda(ROWS, None)
    runner, *begun = _begun(FunctionScorer(at_most_300), todo=todo)
    found = list(attempts(runner, *begun))
    refused = {one.composition.batch_size for one in found if one.left_out is not None}
    assert {511, 512, 4096} <= refused and min(refused) > 300
    assert {one.left_out for one in found} == {None, "the model refuses it: too many"}
    assert {one.error for one in found} == {None}
    assert runner.done == todo.rows


def test_a_refusal_that_a_model_has_no_reason_for_leaves_the_rest_and_the_verdict_open():
    def no_twos_beside_eights(feeds):
        if {2.0, 8.0} <= set(feeds["x"]):
            raise InputError("not those")
        return _identity(feeds)

    runner, *begun = _begun(FunctionScorer(no_twos_beside_eights))
    found = list(attempts(runner, *begun))
    missed = [one for one in found if one.left_out is not None]
    scored = [one.composition for one in found if one.left_out is None]
    assert scored and any(one.error is not None for one in missed)
    reason = too_little(scored, missed, Budget())
    assert re.match(r"stopped at .*, after \d+ of \d+ rows: not those", reason)


def test_a_server_that_takes_no_batch_above_a_size_is_told_how_to_be_asked():
    def no_more_than_two(feeds):
        if len(feeds["x"]) > 2:
            raise InputError("Task size is larger than maximum input batch size 2")
        return _identity(feeds)

    todo = agenda(ROWS, None, batch_sizes=[2, 4])
    runner, *begun = _begun(FunctionScorer(no_more_than_two), todo=todo)
    found = list(attempts(runner, *begun))
    missed = [one for one in found if one.left_out is not None]
    scored = [one.composition for one in found if one.left_out is None]
    reason = too_little(scored, missed, Budget())
    assert re.search("Task size .*; batches of up to 2 were taken: .* --allowed-batch-size", reason)


def test_what_is_compared_with_what_was_left_out_is_left_out():
    others = next(one for one in TODO.compositions if one.name == "among other examples")

    def refuse_once(feeds):
        if np.array_equal(feeds["x"], begun[1]["x"][others.batches[1]]):
            raise InputError("once")
        return _identity(feeds)

    runner, *begun = _begun(FunctionScorer(_identity))
    runner._scorer.function = refuse_once
    found = _by_name(attempts(runner, *begun))
    reason = "'among other examples', which it is compared with, was left out"
    assert {one.left_out for name, one in found.items() if name.startswith("among o")} == {
        "the model refuses it: once",
        reason,
    }


def _slow(clock, a_row=0.044):
    """A scorer that takes its time, by a clock of its own."""

    def score(feeds):
        clock[0] += a_row * len(feeds["x"])
        return _identity(feeds)

    return FunctionScorer(score)


def test_a_budget_is_kept_and_the_last_composition_is_always_scored():
    clock = [0.0]
    todo = agenda(ROWS, None)
    budget = Budget(20.0, lambda: clock[0])
    runner, *begun = _begun(_slow(clock), budget, todo)
    found = list(attempts(runner, *begun))
    assert 15 < budget.spent <= 20 and clock[0] <= 20.044
    missed = [one for one in found if one.left_out is not None]
    scored = [one.composition for one in found if one.left_out is None]
    assert scored[-1].name == "one at a time, again"
    assert {one.left_out for one in missed} == {"the budget of 20 s does not do for it"}
    assert all(one.no_time for one in missed) and runner.done == todo.rows
    assert too_little(scored, missed, budget) is None
    kinds = {one.kind for one in scored}
    assert kinds >= {"size", "neighbours", "repeat", "position", "padding rows"}
    listed = left_out(scored, missed)
    assert "a batch of 4096" in listed and "among zeros, 256 a batch" in listed


def test_a_budget_that_does_for_nothing_telling_is_too_little():
    clock = [0.0]
    budget = Budget(2.0, lambda: clock[0])
    runner, *begun = _begun(_slow(clock), budget, agenda(ROWS, None))
    found = list(attempts(runner, *begun))
    missed = [one for one in found if one.left_out is not None]
    scored = [one.composition for one in found if one.left_out is None]
    assert too_little(scored, missed, budget) == (
        "the budget of 2 s does not do for a verdict: nothing was scored among larger neighbours; "
        "give more by --budget"
    )


def test_an_example_that_is_taken_in_company_is_found_with_the_size():
    def at_least_three(feeds):
        if len(feeds["x"]) < 3:
            raise InputError("three or more")
        return _identity(feeds)

    size, outputs = taken_together(FunctionScorer(at_least_three), ROWS, 6, [2, 3, 4])
    assert size == 3
    assert outputs["score"].tolist() == [7, 8, 1]


def test_an_example_that_is_refused_in_any_company_is_not():
    def refuse(feeds):
        raise InputError("never")

    def gone(feeds):
        raise Unreachable("gone")

    assert taken_together(FunctionScorer(refuse), ROWS, 0, [2, 3]) is None
    with pytest.raises(Unreachable):
        taken_together(FunctionScorer(gone), ROWS, 0, [2, 3])


def test_a_composition_in_the_very_batches_of_another_is_scored_once_but_for_repeats():
    # With one feature, the row of the largest values is the highest-scoring example.
    rows = {"x": np.array([2.0, 1.0])}
    todo = agenda(rows, None, batch_sizes=[4])
    scorer = FunctionScorer(_identity)
    runner = Runner(scorer, todo.rows)
    alone = runner.scored(todo.alone, rows)
    pool = pooled(todo, rows, (0, 1))
    attempted = list(attempts(runner, todo, pool, alone))
    for attempt in attempted:
        for batch, outputs in zip(attempt.composition.batches, attempt.outputs, strict=True):
            np.testing.assert_array_equal(outputs["score"], pool["x"][batch])
    found = _by_name(attempted)
    for first, second in (
        ("largest values", "highest-scoring"),
        ("smallest values", "lowest-scoring"),
    ):
        assert found[f"among the {first}"].outputs is found[f"among the {second}"].outputs
        assert found[f"among the {second}"].control is found["among other examples"].outputs
    twice = found["the same batch twice"]
    assert twice.outputs is not twice.control
    assert found["one at a time, again"].outputs is not alone
    assert runner.done == todo.rows > sum(len(feeds["x"]) for feeds in scorer.asked)
