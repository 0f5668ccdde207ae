"""Calls scored in the batches as logged, several at a time, and given in the order of the log."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tfnorm.errors import InputError
from tfnorm.replay.comparison.fit import Fitted, Unfit, fit
from tfnorm.replay.log.call import Call, Passed
from tfnorm.scorers.connection import Unreachable
from tfnorm.scorers.scorer import Scorer

_AHEAD = 4
"""Calls that wait for each thread."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model gives for a call.

    Attributes:
        fitted: what it was fed; None where the call can't be given to it.
        outputs: output name -> array; None where it gives none.
        problem: why it gives none; None where it does.
    """

    fitted: Fitted | None
    outputs: dict[str, np.ndarray] | None
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """A call, and what each model gives for it."""

    call: Call
    answers: tuple[Answer, ...]


def scored(
    calls: Iterable[Call | Passed], scorers: Sequence[Scorer], threads: int | None = None
) -> Iterator[Scored | Passed]:
    """Score the calls with each model, in order.

    Args:
        calls: the calls; no more of them are read than the threads have work for.
        scorers: the models.
        threads: how many; None for one a core, and one where a model takes one call at a time.

    Raises:
        Unreachable: a server does not answer.
    """
    if not all(scorer.concurrent for scorer in scorers):
        threads = 1
    threads = threads or os.cpu_count() or 1
    if threads == 1:
        for call in calls:
            yield call if isinstance(call, Passed) else _scored(call, scorers)
        return
    waiting: deque[Passed | Future[Scored]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="tfnorm-replay") as pool:
        try:
            for call in calls:
                waiting.append(
                    call if isinstance(call, Passed) else pool.submit(_scored, call, scorers)
                )
                if len(waiting) > _AHEAD * threads:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for one in waiting:
                if isinstance(one, Future):
                    one.cancel()


def answer(call: Call, scorer: Scorer) -> Answer:
    """What a model gives for a call, in the batch as it was logged.

    Raises:
        Unreachable: a server does not answer.
    """
    try:
        fitted = fit(call, scorer)
    except Unfit as error:
        return Answer(None, None, str(error))
    try:
        return Answer(fitted, scorer.score(fitted.feeds))
    except Unreachable:
        raise
    except InputError as error:
        return Answer(fitted, None, f"the model refuses what production answered: {error}")


def _scored(call: Call, scorers: Sequence[Scorer]) -> Scored:
    return Scored(call, tuple(answer(call, scorer) for scorer in scorers))


def _result(one: Passed | Future[Scored]) -> Scored | Passed:
    return one if isinstance(one, Passed) else one.result()
