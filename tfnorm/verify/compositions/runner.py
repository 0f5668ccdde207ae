"""Put rows in batches and have them scored."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from tfnorm.errors import InputError
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import Unreachable
from tfnorm.verify.compositions.budget import Budget
from tfnorm.verify.compositions.padding import cropped
from tfnorm.verify.compositions.plan import Composition

CLIENTS = 8
"""Requests under way at the same time, where that is what is tried."""

_MOST_THREADS = 4
"""Batches of a model on this machine that are under way at the same time: large ones take memory each."""

_SECONDS_AN_INPUT = 1e-5
"""That the shortest batch takes at least where threads are worth it: else they wait for Python by turns."""

_PARTS_A_THREAD = 8
"""In which the batches of a composition are shared out: one at a time would wake a thread for each."""

Rows = Mapping[str, np.ndarray]
Scored = dict[str, np.ndarray]


class Runner:
    """Scores rows in compositions, and counts them.

    Args:
        scorer: what scores.
        expected: how many rows there will be.
        progress: called with the rows scored so far and those expected.
        budget: what counts the seconds; None for one without an end.
    """

    def __init__(
        self,
        scorer: Scorer,
        expected: int,
        progress: Callable[[int, int], None] | None = None,
        budget: Budget | None = None,
    ):
        self._scorer = scorer
        self._expected = expected
        self._progress = progress
        self.budget = budget or Budget()
        self.done = 0
        self._shortest = math.inf

    def scored(
        self,
        composition: Composition,
        rows: Rows,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> list[Scored]:
        """What the scorer gives for each batch of the composition, in order.

        Args:
            composition: how to put the rows in batches.
            rows: the examples, and after them the neighbours that the composition has.
            shapes: output name -> the shape of an example's; what padding adds to it is taken off.

        Raises:
            InputError: it refuses a batch, or stops answering.
        """
        scored: list[Scored] = []
        threads = self._threads(composition, len(rows))
        answers = self._answers(composition, rows, threads)
        began = self.budget.clock()
        for batch in composition.batches:
            try:
                outputs = next(answers)
            except InputError as error:
                self.budget.lose(self.budget.clock() - began)
                where = f"{composition.name!r}, in a batch of {len(batch)}"
                raise self._stopped(where, error) from error
            if composition.padding is not None:
                outputs = {
                    name: cropped(array, (shapes or {}).get(name, array.shape[1:]))
                    for name, array in outputs.items()
                }
            scored.append(outputs)
            self.skip_to(self.done + len(batch))
            if threads == 1:
                ended = self.budget.clock()
                self.budget.record(len(batch), ended - began)
                began = ended
        if threads > 1:
            # Those that are under way together may come back at once.
            share = (self.budget.clock() - began) / len(composition.batches)
            for batch in composition.batches:
                self.budget.record(len(batch), share)
        return scored

    def skip_to(self, done: int) -> None:
        """Count as done what is left out."""
        self.done = done
        if self._progress is not None:
            self._progress(self.done, self._expected)

    def refusal(self, rows: Rows, batch_size: int) -> str | None:
        """Why the scorer doesn't take rows that were made up; None where it does."""
        count = len(next(iter(rows.values())))
        try:
            for start in range(0, count, batch_size):
                part = slice(start, start + batch_size)
                self._scorer.score({name: array[part] for name, array in rows.items()})
        except Unreachable as error:
            raise self._stopped("neighbours", error) from error
        except InputError as error:
            return str(error)
        return None

    def _threads(self, composition: Composition, inputs: int) -> int:
        """How many batches of the composition are under way at the same time."""
        if composition.kind == "concurrent":
            return CLIENTS
        is_python = self._shortest < _SECONDS_AN_INPUT * inputs
        # What scores for the first time may be traced in it, and tells only then what it is like.
        overlap = (
            self._scorer.concurrent and not self._scorer.remote and self.done > 0 and not is_python
        )
        most = min(_MOST_THREADS, os.cpu_count() or 1) if overlap else 1
        return max(1, min(most, len(composition.batches)))

    def _answers(self, composition: Composition, rows: Rows, threads: int) -> Iterator[Scored]:
        """What the scorer gives, batch by batch."""

        def answer(batch: np.ndarray) -> Scored:
            feeds = {name: array[batch] for name, array in rows.items()}
            if composition.padding is not None:
                feeds = composition.padding.apply(feeds)
            began = perf_counter()
            scored = self._scorer.score(feeds)
            self._shortest = min(self._shortest, perf_counter() - began)
            return scored

        def answers(batches: Sequence[np.ndarray]) -> list[Scored | InputError]:
            """Up to the one that is refused, which is raised when those before it are counted."""
            found: list[Scored | InputError] = []
            for batch in batches:
                try:
                    found.append(answer(batch))
                except InputError as error:
                    return [*found, error]
            return found

        batches = list(composition.batches)
        if threads == 1:
            yield from map(answer, batches)
            return
        # Requests that are to meet go one by one; others so that a thread is woken only now and then.
        together = composition.kind == "concurrent"
        size = 1 if together else max(1, len(batches) // (_PARTS_A_THREAD * threads))
        with ThreadPoolExecutor(threads) as pool:
            asked = [
                pool.submit(answers, batches[start : start + size])
                for start in range(0, len(batches), size)
            ]
            try:
                for future in asked:
                    for one in future.result():
                        if isinstance(one, InputError):
                            raise one
                        yield one
            finally:
                for future in asked:
                    future.cancel()

    def _stopped(self, where: str, error: InputError) -> InputError:
        done = f"{self.done:,} of {self._expected:,} rows"
        return type(error)(f"stopped at {where}, after {done}: {error}")
