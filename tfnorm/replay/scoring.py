"""Calls scored in the batches as logged, in several threads, and given in the order of the log.

They come in blocks: what is done once a block is not done for each call.
"""

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
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import Unreachable

_CALLS, _ROWS = 32, 1024
"""What a block holds at most: calls, and rows but for those of its last call."""
_AHEAD = 4
"""Blocks that wait for each thread."""


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


Block = list[Scored | Passed]


def scored(
    calls: Iterable[Call | Passed], scorers: Sequence[Scorer], threads: int | None = None
) -> Iterator[Block]:
    """Score the calls with each model, in order.

    Args:
        calls: the calls; no more of them are read than the threads have work for.
        scorers: the models.
        threads: how many; None for one for each core, and one where a model takes one call at a time.

    Raises:
        Unreachable: a server does not answer.
    """
    if not all(scorer.concurrent for scorer in scorers):
        threads = 1
    threads = threads or os.cpu_count() or 1
    if threads == 1:
        for block in _blocks(calls):
            yield _scored(block, scorers)
        return
    waiting: deque[Future[Block]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="tfnorm-replay") as pool:
        try:
            for block in _blocks(calls):
                waiting.append(pool.submit(_scored, block, scorers))
                if len(waiting) > _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
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


def _blocks(calls: Iterable[Call | Passed]) -> Iterator[list[Call | Passed]]:
    block: list[Call | Passed] = []
    rows = 0
    for call in calls:
        block.append(call)
        rows += call.rows if isinstance(call, Call) else 0
        if len(block) == _CALLS or rows >= _ROWS:
            yield block
            block, rows = [], 0
    if block:
        yield block


def _scored(block: list[Call | Passed], scorers: Sequence[Scorer]) -> Block:
    return [
        one if isinstance(one, Passed) else Scored(one, tuple(answer(one, s) for s in scorers))
        for one in block
    ]
