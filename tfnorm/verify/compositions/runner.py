"""Put rows in batches and have them scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfnorm.errors import InputError
from tfnorm.scorers.connection import Unreachable
from tfnorm.scorers.scorer import Scorer
from tfnorm.verify.compositions.padding import cropped
from tfnorm.verify.compositions.plan import Composition

CLIENTS = 8
"""Requests under way at the same time, where that is what is tried."""

Scored = dict[str, np.ndarray]


class Runner:
    """Scores compositions of rows that grow by neighbours.

    Args:
        scorer: what scores.
        rows: the examples.
        progress: called with the rows scored so far and those expected.
    """

    def __init__(
        self,
        scorer: Scorer,
        rows: Mapping[str, np.ndarray],
        progress: Callable[[int, int], None] | None,
    ):
        self._scorer = scorer
        self._rows = dict(rows)
        self._progress = progress
        self.done = self._expected = 0
        self._shapes: dict[str, tuple[int, ...]] = {}

    def expect(self, compositions: Iterable[Composition]) -> None:
        """What will have been scored when all is done."""
        self._expected = sum(composition.rows for composition in compositions)

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Take in neighbours, after the rows that are there."""
        self._rows = {name: np.concatenate([a, rows[name]]) for name, a in self._rows.items()}

    def scored(self, composition: Composition) -> list[Scored]:
        """What the scorer gives for each batch of the composition, in order.

        Raises:
            InputError: it refuses a batch, or stops answering.
        """
        if composition.kind == "concurrent":
            with ThreadPoolExecutor(CLIENTS) as clients:
                asked = [clients.submit(self._score, composition, b) for b in composition.batches]
                try:
                    return [self._counted(future.result()) for future in asked]
                finally:
                    for future in asked:
                        future.cancel()
        return [self._counted(self._score(composition, batch)) for batch in composition.batches]

    def skip_to(self, done: int) -> None:
        """Count as done what is left out."""
        self._advance(done - self.done)

    def refusal(self, rows: Mapping[str, np.ndarray], batch_size: int) -> str | None:
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

    def _score(self, composition: Composition, batch: np.ndarray) -> tuple[int, Scored]:
        feeds = {name: array[batch] for name, array in self._rows.items()}
        if composition.padding is not None:
            feeds = composition.padding.apply(feeds)
        try:
            outputs = self._scorer.score(feeds)
        except InputError as error:
            where = f"{composition.name!r}, in a batch of {len(batch)}"
            raise self._stopped(where, error) from error
        if composition.padding is not None:
            outputs = {name: cropped(a, self._shapes[name]) for name, a in outputs.items()}
        else:
            self._shapes.update({name: array.shape[1:] for name, array in outputs.items()})
        return len(batch), outputs

    def _stopped(self, where: str, error: InputError) -> InputError:
        done = f"{self.done:,} of {self._expected:,} rows"
        return type(error)(f"stopped at {where}, after {done}: {error}")

    def _counted(self, scored: tuple[int, Scored]) -> Scored:
        rows, outputs = scored
        self._advance(rows)
        return outputs

    def _advance(self, rows: int) -> None:
        self.done += rows
        if self._progress is not None:
            self._progress(self.done, self._expected)
