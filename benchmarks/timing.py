"""Timings that survive a shared machine: interleaved in one process, medians, ratios."""

from __future__ import annotations

import contextlib
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import Progress

# Seconds; a round of a call takes about so long, of which nothing is lost in the clock's own steps.
_LEAST = 3e-3


def medians(calls: Mapping[str, Callable[[], object]], **options: Any) -> dict[str, float]:
    """The median time of each call in milliseconds; the options are those of `spreads`."""
    return {name: spread.median for name, spread in spreads(calls, **options).items()}


class Spread(NamedTuple):
    """What several measurements of one thing gave, such as milliseconds."""

    least: float
    median: float
    most: float

    def shown(self, digits: int) -> str:
        """The median, with the least and the most."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.most:.{digits}f})"


class Turn:
    """Calls `call` until it has taken three milliseconds, and says how many of `clock` one call took.

    Before that is one call that is not counted, since a processor that has rested is slow.
    """

    def __init__(self, call: Callable[[], object], clock: Callable[[], float]):
        self._call, self._clock = call, clock
        call()
        call()
        start = time.perf_counter()
        call()
        self._repeats = max(1, int(_LEAST / max(time.perf_counter() - start, 1e-6)))

    def __call__(self) -> float:
        self._call()
        start = self._clock()
        for _ in range(self._repeats):
            self._call()
        return (self._clock() - start) / self._repeats * 1e3


def spreads(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
    elsewhere: Mapping[str, Callable[[], float]] | None = None,
) -> dict[str, Spread]:
    """How long each call takes; each round runs all of them, in another order.

    `clock` counts seconds. What is `elsewhere`, in a process of its own, times its turn itself, in
    milliseconds.
    """
    turns = {name: Turn(call, clock) for name, call in calls.items()} | dict(elsewhere or {})
    shuffled = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in turns}
    task = None if progress is None else progress.add_task("rounds", total=rounds)
    for _ in range(rounds):
        for name, turn in shuffled.sample(list(turns.items()), len(turns)):
            times[name].append(turn())
        if progress is not None:
            progress.advance(task)
    if progress is not None:
        progress.remove_task(task)
    return {name: spread_of(values) for name, values in times.items()}


def spread_of(values: Sequence[float]) -> Spread:
    return Spread(min(values), statistics.median(values), max(values))


def versions(*packages: str) -> dict[str, str]:
    """What the figures depend on: Python, the processor's kind and the packages that are installed."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def copier(elements: int, threads: int) -> Callable[[], None]:
    """A copy of so many float32 by so many threads: reads them once and writes them once."""
    from concurrent.futures import ThreadPoolExecutor

    source = np.ones(elements, np.float32)
    target = np.empty_like(source)
    pairs = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    pool = ThreadPoolExecutor(threads)

    def copy() -> None:
        if elements < 2**16:
            np.copyto(target, source)
        else:
            list(pool.map(lambda pair: np.copyto(*pair), pairs))

    return copy


def with_children(process: int) -> list[int]:
    """A process, and those that it and they have started."""
    found = [process]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                found += with_children(int(child))
    return found
