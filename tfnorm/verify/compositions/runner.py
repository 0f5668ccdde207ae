"""Put rows in batches and have them scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfnorm.errors import InputError
from tfnorm.scorers.connection import Unreachable
from tfnorm.scorers.scorer import Scorer
from tfnorm.verify.compositions.budget import Budget
from tfnorm.verify.compositions.padding import cropped
from tfnorm.verify.compositions.plan import Composition

CLIENTS = 8
"""Requests under way at the same time, where that is what is tried."""

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
        scored = []
        before = self.budget.clock()
        answers = self._answers(composition, rows)
        for batch in composition.batches:
            try:
                outputs = next(answers)
            except InputError:
                self.budget.lose(self.budget.clock() - before)
                raise
            now = self.budget.clock()
            self.budget.record(len(batch), now - before)
            before = now
            if composition.padding is not None:
                outputs = {
                    name: cropped(array, (shapes or {}).get(name, array.shape[1:]))
                    for name, array in outputs.items()
                }
            scored.append(outputs)
            self.skip_to(self.done + len(batch))
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

    def _answers(self, composition: Composition, rows: Rows) -> Iterator[Scored]:
        """What the scorer gives, batch by batch."""

        def answer(batch: np.ndarray) -> Scored:
            return self._score(composition, {name: array[batch] for name, array in rows.items()})

        if composition.kind != "concurrent":
            yield from map(answer, composition.batches)
            return
        with ThreadPoolExecutor(CLIENTS) as clients:
            asked = [clients.submit(answer, batch) for batch in composition.batches]
            try:
                for future in asked:
                    yield future.result()
            finally:
                for future in asked:
                    future.cancel()

    def _score(self, composition: Composition, feeds: Scored) -> Scored:
        if composition.padding is not None:
            feeds = composition.padding.apply(feeds)
        try:
            return self._scorer.score(feeds)
        except InputError as error:
            size = len(next(iter(feeds.values())))
            raise self._stopped(f"{composition.name!r}, in a batch of {size}", error) from error

    def _stopped(self, where: str, error: InputError) -> InputError:
        done = f"{self.done:,} of {self._expected:,} rows"
        return type(error)(f"stopped at {where}, after {done}: {error}")
