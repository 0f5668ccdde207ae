import numpy as np
import pytest
from verify.made_scorers import FunctionScorer

from tfnorm.errors import InputError
from tfnorm.scorers.connection import Unreachable
from tfnorm.verify.compositions.agenda import BY_SCORE, agenda
from tfnorm.verify.compositions.runner import Runner
from tfnorm.verify.scoring import Pool, attempts, taken_together, with_neighbours

ROWS = {"x": np.arange(1.0, 9.0)}
TODO = agenda(ROWS, None, batch_sizes=[4])


def _identity(feeds):
    return {"score": feeds["x"]}


def _begun(scorer):
    """A runner that has scored the examples alone, what came out, and the pool of rows."""
    runner = Runner(scorer, TODO.rows)
    alone = runner.scored(TODO.alone, ROWS)
    return runner, alone, with_neighbours(runner, TODO, ROWS, (7, 0))


def test_neighbours_follow_the_examples_in_the_order_of_their_numbers():
    runner, _, pool = _begun(FunctionScorer(_identity))
    expected = [ROWS["x"], *(group.rows["x"] for group in TODO.neighbours.values()), [8.0], [1.0]]
    np.testing.assert_array_equal(pool.rows["x"], np.concatenate(expected))
    assert pool.refused == {}
    assert len(pool.rows["x"]) == 1 + max(np.ravel(one.batches).max() for one in TODO.compositions)
    assert runner.done == 8


def test_neighbours_are_tried_but_for_the_others_which_are_examples():
    scorer = FunctionScorer(_identity)
    _begun(scorer)
    tried = [feeds["x"].tolist() for feeds in scorer.asked[len(ROWS["x"]) :]]
    others, *groups = [group.rows["x"] for group in TODO.neighbours.values()]
    expected = [rows[i : i + 4].tolist() for rows in groups for i in range(0, len(rows), 4)]
    assert tried == [*expected, [8.0], [1.0]]
    assert len(others) == len(ROWS["x"])


def test_neighbours_that_are_refused_are_told_and_not_tried():
    def refuse(feeds):
        if feeds["x"].max() > 100:
            raise InputError("too large")
        return _identity(feeds)

    runner, alone, pool = _begun(FunctionScorer(refuse))
    assert pool.refused == {
        "among others at 1000x": "the model refuses such rows: too large",
    }
    tried = [attempt.composition.name for attempt in attempts(runner, TODO, pool, alone)]
    assert set(tried) == {one.name for one in TODO.compositions} - pool.refused.keys()
    assert runner.done == TODO.rows


def test_examples_by_score_are_neighbours_too():
    names = [one.name for one in TODO.compositions]
    assert all(f"among {name}" in names for name in BY_SCORE)


def test_each_attempt_has_what_the_scorer_gave_and_what_its_control_gave():
    runner, alone, pool = _begun(FunctionScorer(_identity))
    found = {attempt.composition.key: attempt for attempt in attempts(runner, TODO, pool, alone)}
    for attempt in found.values():
        composition = attempt.composition
        assert attempt.refusal is None
        for batch, outputs in zip(composition.batches, attempt.outputs, strict=True):
            np.testing.assert_array_equal(outputs["score"], pool.rows["x"][batch])
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
    runner = Runner(FunctionScorer(at_most_300), todo.rows)
    pool = Pool(ROWS, {one.name: "" for one in todo.compositions if one.kind == "neighbours"})
    found = list(attempts(runner, todo, pool, [_identity(ROWS)]))
    refused = {one.composition.batch_size for one in found if one.refusal is not None}
    assert {511, 512, 4096} <= refused and min(refused) > 300
    assert {one.refusal for one in found} == {None, "the model refuses it: too many"}
    assert runner.done == todo.rows - todo.alone.rows


def test_what_a_model_has_no_reason_to_refuse_stops_the_run():
    def no_twos_beside_eights(feeds):
        if {2.0, 8.0} <= set(feeds["x"]):
            raise InputError("not those")
        return _identity(feeds)

    runner = Runner(FunctionScorer(no_twos_beside_eights), TODO.rows)
    with pytest.raises(InputError, match=r"stopped at .*not those"):
        list(attempts(runner, TODO, Pool({"x": np.resize(ROWS["x"], 200)}, {}), [_identity(ROWS)]))


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
