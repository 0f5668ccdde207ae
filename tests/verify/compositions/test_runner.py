import threading

import numpy as np
import pytest
from verify.made_scorers import FunctionScorer

from tfnorm.errors import InputError
from tfnorm.scorers.servers.connection import Unreachable
from tfnorm.verify.compositions import runner
from tfnorm.verify.compositions.budget import Budget
from tfnorm.verify.compositions.padding import Padding
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.compositions.runner import CLIENTS, Runner

ROWS = {"x": np.arange(6.0), "id": np.arange(6)}
PAIRS = Composition("pairs", "size", np.array([[0, 1], [2, 3], [5, 4]]))


def _double(feeds):
    return {"score": 2 * feeds["x"]}


def test_each_batch_has_the_rows_that_its_numbers_say():
    scorer = FunctionScorer(_double)
    scored = Runner(scorer, 6).scored(PAIRS, ROWS)
    assert [outputs["score"].tolist() for outputs in scored] == [[0, 2], [4, 6], [10, 8]]
    assert [feeds["id"].tolist() for feeds in scorer.asked] == [[0, 1], [2, 3], [5, 4]]


def test_progress_is_told_after_every_batch():
    seen = []
    runner = Runner(FunctionScorer(_double), 9, lambda *counts: seen.append(counts))
    runner.scored(PAIRS, ROWS)
    assert seen == [(2, 9), (4, 9), (6, 9)]
    runner.skip_to(9)
    assert seen[-1] == (9, 9) and runner.done == 9


def test_what_padding_adds_to_an_output_is_taken_off_again():
    scorer = FunctionScorer(lambda feeds: {"steps": feeds["x"], "sum": feeds["x"].sum(axis=1)})
    rows = {"x": np.arange(8.0).reshape(4, 2)}
    padding = Padding((("x", 1),), steps=3, shown=True)
    longer = Composition("longer", "padding", np.array([[0, 1], [2, 3]]), padding=padding)
    scored = Runner(scorer, 4).scored(longer, rows, {"steps": (2,), "sum": ()})
    assert scorer.asked[0]["x"].tolist() == [[0, 1, 0, 0, 0], [2, 3, 0, 0, 0]]
    assert scored[0]["steps"].tolist() == [[0, 1], [2, 3]]
    assert scored[1]["sum"].tolist() == [9, 13]


def test_a_refusal_says_where_and_after_how_much():
    def refuse(feeds):
        if 4 in feeds["id"]:
            raise InputError("no fours")
        return _double(feeds)

    runner = Runner(FunctionScorer(refuse), 1234)
    with pytest.raises(InputError) as error:
        runner.scored(PAIRS, ROWS)
    assert str(error.value) == (
        "stopped at 'pairs', in a batch of 2, after 4 of 1,234 rows: no fours"
    )
    assert not isinstance(error.value, Unreachable)
    assert str(error.value.__cause__) == "no fours"


def test_a_server_that_is_gone_stays_unreachable_wherever_that_shows():
    def gone(feeds):
        raise Unreachable("gone")

    runner = Runner(FunctionScorer(gone), 6)
    with pytest.raises(Unreachable, match="stopped at 'pairs'"):
        runner.scored(PAIRS, ROWS)
    with pytest.raises(Unreachable, match="stopped at neighbours"):
        runner.refusal(ROWS, 4)


def test_concurrent_requests_are_under_way_together_and_come_back_in_order():
    together = threading.Barrier(CLIENTS, timeout=60)

    def meet(feeds):
        together.wait()
        return _double(feeds)

    rows = {"x": np.arange(2.0 * CLIENTS)}
    batches = np.arange(2 * CLIENTS).reshape(CLIENTS, 2)
    seen = []
    runner = Runner(FunctionScorer(meet), 2 * CLIENTS, lambda *counts: seen.append(counts))
    scored = runner.scored(Composition("at once", "concurrent", batches), rows)
    np.testing.assert_array_equal([outputs["score"] for outputs in scored], 2.0 * batches)
    assert [done for done, _ in seen] == list(range(2, 2 * CLIENTS + 1, 2))


def test_a_refusal_of_a_concurrent_request_is_told_too():
    def refuse(feeds):
        raise InputError("too many at once")

    batches = np.arange(20).reshape(10, 2)
    runner = Runner(FunctionScorer(refuse), 20)
    with pytest.raises(InputError, match="after 0 of 20 rows: too many at once"):
        runner.scored(Composition("at once", "concurrent", batches), {"x": np.arange(20.0)})


def test_rows_that_are_made_up_are_tried_in_batches_and_not_counted():
    def refuse(feeds):
        if feeds["x"].max() > 4:
            raise InputError("too large")
        return _double(feeds)

    scorer = FunctionScorer(refuse)
    runner = Runner(scorer, 6)
    assert runner.refusal({"x": np.arange(5.0)}, 4) is None
    assert [len(feeds["x"]) for feeds in scorer.asked] == [4, 1]
    assert runner.refusal(ROWS, 4) == "too large"
    assert runner.done == 0


def _meeting(parties):
    """A scorer whose second batch and those after it come back only once so many are under way together."""
    together, asked = threading.Barrier(parties, timeout=60), []

    def meet(feeds):
        asked.append(feeds["x"].tolist())
        if len(asked) > 1:
            together.wait()
        return _double(feeds)

    return meet


@pytest.mark.parametrize("cores", [2, 64])
def test_batches_of_a_model_that_takes_them_so_are_under_way_together_after_the_first(
    cores, monkeypatch
):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr("tfnorm.verify.compositions.runner._SECONDS_AN_INPUT", 0.0)
    threads = min(cores, 4)
    count = 1 + 3 * threads
    rows = {"x": np.arange(float(count))}
    seen, clock = [], iter(range(1000))
    scorer = FunctionScorer(_meeting(threads), concurrent=True)
    budget = Budget(60.0, lambda: next(clock))
    runner = Runner(scorer, count, lambda *counts: seen.append(counts), budget)
    alone = Composition("alone", "reference", np.arange(count)[:, None])
    scored = [*runner.scored(alone.part(0, 1), rows), *runner.scored(alone.part(1), rows)]
    np.testing.assert_array_equal([outputs["score"] for outputs in scored], 2 * rows["x"][:, None])
    assert seen == [(number, count) for number in range(1, count + 1)]
    # A second passes from the first of those that are under way together to the last.
    assert budget.spent == pytest.approx(1.0)
    assert budget.expected([alone.part(1)]) == pytest.approx(1.0)


@pytest.mark.parametrize(("inputs", "threads"), [(2, 2), (300, 1)])
def test_batches_whose_time_is_mostly_pythons_go_one_by_one(inputs, threads, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    # A batch takes a millisecond.
    clock = (number / 2000 for number in range(1000))
    monkeypatch.setattr(runner, "perf_counter", lambda: next(clock))
    by = []

    def score(feeds):
        by.append(threading.current_thread())
        next(clock)
        return _double(feeds)

    rows = {"x": np.arange(6.0), **{f"x{number}": np.arange(6) for number in range(1, inputs)}}
    run = Runner(FunctionScorer(score, concurrent=True), 12, budget=Budget(60.0, lambda: 0.0))
    run.scored(PAIRS, rows)
    by.clear()
    run.scored(PAIRS, rows)
    assert (threading.main_thread() in by) == (threads == 1)


@pytest.mark.parametrize("attributes", [{}, {"concurrent": True, "remote": True}])
def test_batches_of_a_server_and_of_a_model_that_does_not_take_them_so_go_one_by_one(attributes):
    under_way = []

    def alone(feeds):
        under_way.append(1)
        assert len(under_way) == 1
        under_way.pop()
        return _double(feeds)

    runner = Runner(FunctionScorer(alone, **attributes), 6)
    for _ in range(2):
        runner.scored(PAIRS, ROWS)


def test_a_refusal_among_batches_that_are_under_way_together_says_the_first(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)

    def refuse(feeds):
        if feeds["id"][0] >= 2:
            raise InputError(f"no {feeds['id'][0]}")
        return _double(feeds)

    runner = Runner(FunctionScorer(refuse, concurrent=True), 1234)
    runner.skip_to(100)
    with pytest.raises(InputError) as error:
        runner.scored(PAIRS, ROWS)
    assert str(error.value) == (
        "stopped at 'pairs', in a batch of 2, after 102 of 1,234 rows: no 2"
    )


def test_a_refusal_among_many_small_batches_says_how_many_rows_came_before(monkeypatch):
    """They are shared out in parts of several batches."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    rows = {"x": np.arange(200.0), "id": np.arange(200)}
    alone = Composition("alone", "size", np.arange(200)[:, np.newaxis])

    def refuse(feeds):
        if feeds["id"][0] == 133:
            raise InputError("no 133")
        return _double(feeds)

    runner = Runner(FunctionScorer(refuse, concurrent=True), 1234)
    runner.skip_to(100)
    with pytest.raises(InputError, match="batch of 1, after 233 of 1,234 rows: no 133"):
        runner.scored(alone, rows)
