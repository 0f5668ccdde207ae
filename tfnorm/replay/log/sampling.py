"""Some of a log's calls, drawn whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tfnorm.replay.log.call import Log


def count(log: Log) -> int:
    """How many calls a log has."""
    return sum(1 for _ in log.entries())


def drawn(log: Log, total: int, limit: int, seed: int) -> Iterator[tuple[int, Any]]:
    """As many entries of a log as the limit, each set of them as likely as any other, in order.

    Args:
        log: the log.
        total: how many calls it has.
        limit: how many are drawn; all where there are no more.
        seed: of the draw.
    """
    if total <= limit:
        yield from log.entries()
        return
    chosen = iter(sorted(random.Random(seed).sample(range(total), limit)))
    wanted = next(chosen, None)
    for place, entry in enumerate(log.entries()):
        if place == wanted:
            yield entry
            wanted = next(chosen, None)
