import threading

import numpy as np
import pytest
from verify.made_scorers import FunctionScorer

from tfnorm.errors import InputError
from tfnorm.scorers.connection import Unreachable
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
