"""How long scoring may take, how long it has taken, and how long what is still to be scored would take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfnorm.verify.compositions.plan import Composition

SECONDS = 30.0
"""What scoring may take by default."""


class Budget:
    """Seconds to score in.

    The first batch counts for nothing: a model is traced, or warms up, in it.

    Args:
        seconds: how many; inf for as long as it takes.
        clock: gives the time in seconds.
    """

    def __init__(
        self, seconds: float = math.inf, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.seconds = seconds
        self.clock = clock
        self.spent = 0.0
        self._fastest: dict[int, float] = {}
        self._begun = False

    def record(self, rows: int, seconds: float) -> None:
        """Count a batch of so many rows that took so long."""
        if not self._begun:
            self._begun = True
            return
        self.spent += seconds
        # The first of a size may be slow, as anything may that shares the machine.
        self._fastest[rows] = min(seconds, self._fastest.get(rows, math.inf))

    def lose(self, seconds: float) -> None:
        """Count what a batch took that was refused."""
        self.spent += seconds

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.seconds - self.spent

    def expected(self, compositions: Iterable[Composition]) -> float:
        """How long compositions would take, as far as the fastest batches so far tell."""
        return sum(
            count * self._batch(size) for one in compositions for size, count in one.sizes.items()
        )

    def _batch(self, rows: int) -> float:
        """How long a batch takes: no longer than a larger one, and no longer a row than a smaller one."""
        bounds = (took * max(1.0, rows / size) for size, took in self._fastest.items())
        return min(bounds, default=0.0)

    def __str__(self) -> str:
        return f"the budget of {self.seconds:g} s"
