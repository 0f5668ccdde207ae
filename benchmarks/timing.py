"""Timings that survive a shared machine: interleaved in one process, medians, ratios."""

from __future__ import annotations

import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
from rich.progress import Progress

# Seconds; longer than the OpenMP threads of torch spin.
_SETTLE = 0.01


def medians(calls: Mapping[str, Callable[[], object]], **options: Any) -> dict[str, float]:
    """The median time of each call in milliseconds; the options are those of `spreads`."""
    return {name: spread.median for name, spread in spreads(calls, **options).items()}


class Spread(NamedTuple):
    """What the rounds of one call took, in milliseconds."""

    least: float
    median: float
    most: float


def spreads(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Spread]:
    """How long each call takes; each round runs all of them, in another order.

    Each call is repeated within a round until it takes three milliseconds. Before that there is a pause,
    since the threads of a library that waits by spinning would slow down the next, and one call that is
    not counted, since a processor that has rested is slow. `clock` counts seconds.
    """
    repeats = {}
    for name, call in calls.items():
        call()
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, int(3e-3 / max(time.perf_counter() - start, 1e-6)))
    shuffled = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in calls}
    task = None if progress is None else progress.add_task("rounds", total=rounds)
    for _ in range(rounds):
        for name, call in shuffled.sample(list(calls.items()), len(calls)):
            time.sleep(_SETTLE)
            call()
            start = clock()
            for _ in range(repeats[name]):
                call()
            times[name].append((clock() - start) / repeats[name] * 1e3)
        if progress is not None:
            progress.advance(task)
    if progress is not None:
        progress.remove_task(task)
    return {
        name: Spread(min(values), statistics.median(values), max(values))
        for name, values in times.items()
    }


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
