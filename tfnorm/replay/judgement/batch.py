"""Does the batch explain it? Rows scored one at a time, with other requests, and in filled batches."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from tfnorm.examples.spread import spread
from tfnorm.replay.judgement.sample import Seen
from tfnorm.replay.judgement.trial import Agreement, Rescored, Trial, Way
from tfnorm.replay.results import Dependence

_ROWS = 32
"""Rows of a call that are scored one at a time."""
_COMPANIONS = 6
"""How often a call is scored with others, to see how far that moves its scores."""
_WIDER = 1.0
"""How far beyond what companions were seen to do others may go, in widths of that."""


def alone(trial: Trial, seen: Seen) -> Rescored | None:
    """Each row by itself; None of a call that has one row."""
    if seen.fitted.count < 2:
        return None
    rows = spread(seen.fitted.count, _ROWS)
    scored = [trial.score(seen.fitted.rows(slice(row, row + 1))) for row in rows.tolist()]
    found = [one for one in scored if one is not None]
    if len(found) < len(scored) or any(not _by_row(one, 1) for one in found):
        return None
    outputs = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    return Rescored(outputs, rows)


def filled(size: int) -> Way:
    """A batch that is filled up with copies of its first row, to the next multiple of a size.

    Args:
        size: 0 for the next power of two.
    """

    def way(trial: Trial, seen: Seen) -> Rescored | None:
        count = seen.fitted.count
        full = 1 << count.bit_length() if not size else -(-(count + 1) // size) * size
        if not count:
            return None
        rows = np.concatenate([np.arange(count), np.zeros(full - count, int)])
        outputs = trial.score(seen.fitted.rows(rows))
        if outputs is None or not _by_row(outputs, full):
            return None
        return Rescored({name: array[:count] for name, array in outputs.items()})

    return way


def merged(trial: Trial, seen: Seen) -> Rescored | None:
    """With the calls before and after it in one batch: the first run of them that gives what was logged."""
    last = None
    for start in range(seen.place, -1, -1):
        for end in range(seen.place + 1, len(seen.around) + 1):
            if end - start < 2:
                continue
            found = _together(trial, seen.around[start:end], seen.place - start)
            if found is None:
                continue
            last = found
            if not trial.beside_logged(seen, found).differs:
                return found
    return last


def dependence(trial: Trial, calls: Sequence[Seen]) -> Dependence:
    """How far the scores of calls move where they are scored alone, or with others."""
    move, depends, tried = 0.0, False, 0
    for seen in calls:
        found = [
            one for one in (alone(trial, seen), *_with_companions(trial, seen, calls, 1)) if one
        ]
        tried += bool(found)
        for one in found:
            compared = trial.beside_new(seen, one)
            move = max(move, float(compared.difference.max(initial=0.0)))
            depends |= compared.differs
    return Dependence(move, depends, tried)


def reachable(trial: Trial) -> Agreement:
    """Of how many calls the logged scores lie where other companions may move them."""
    inside = tried = 0
    for seen in trial.calls:
        found = [
            one
            for one in (
                alone(trial, seen),
                *_with_companions(trial, seen, trial.calls, _COMPANIONS),
            )
            if one is not None
        ]
        if not found:
            continue
        tried += 1
        # The calls' own scores are one of what they may be.
        ways = [trial.beside_new(seen, one) for one in found]
        moved = max(float(way.difference.max(initial=0.0)) for way in ways)
        apart = float(seen.compared.difference.max(initial=0.0))
        inside += apart <= (1 + _WIDER) * moved
    return Agreement(inside, tried)


def _with_companions(
    trial: Trial, seen: Seen, calls: Sequence[Seen], times: int
) -> Iterator[Rescored]:
    """The call in batches with others that are drawn, in front of it and behind it."""
    drawn = random.Random(seen.call.number)
    others = [one for one in (*calls, *seen.around) if one.call.number != seen.call.number]
    for _ in range(times if others else 0):
        companions = drawn.sample(others, min(len(others), drawn.randint(1, 3)))
        place = drawn.randint(0, len(companions))
        found = _together(trial, [*companions[:place], seen, *companions[place:]], place)
        if found is not None:
            yield found


def _together(trial: Trial, calls: Sequence[Seen], place: int) -> Rescored | None:
    """The rows of one call in a batch with other calls; None where their rows don't fit together."""
    own = calls[place].fitted
    feeds = dict(own.feeds)
    for name in own.batched:
        arrays = [one.fitted.feeds.get(name) for one in calls]
        given = [array for array in arrays if array is not None]
        if len(given) < len(arrays) or len({array.shape[1:] for array in given}) > 1:
            return None
        feeds[name] = np.concatenate(given)
    count = sum(one.fitted.count for one in calls)
    outputs = trial.score(feeds)
    if outputs is None or not _by_row(outputs, count):
        return None
    start = sum(one.fitted.count for one in calls[:place])
    return Rescored({name: array[start : start + own.count] for name, array in outputs.items()})


def _by_row(outputs: dict[str, np.ndarray], count: int) -> bool:
    return all(array.ndim and len(array) == count for array in outputs.values())
