"""Does padding explain it? Inputs of free length scored shorter and longer than they were logged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tfnorm.replay.judgement.sample import Seen
from tfnorm.replay.judgement.trial import Rescored, Trial, Way
from tfnorm.scorers.scorer import Scorer

_LENGTHS = (8, 10, 16, 20, 32, 50, 64, 100, 128, 200, 256)
_TRIED = 6
"""Greater lengths that are tried, the usual ones and those of calls nearby."""


def ways(scorer: Scorer, calls: Sequence[Seen]) -> Iterator[tuple[str, Way]]:
    """Each way to pad the calls otherwise, in words; none where no length is free."""
    if not _free(scorer):
        return
    yield "without the zeros at the end", _trimmed
    yield "each row by itself, without the zeros at its end", _alone_trimmed
    lengths = {size for seen in calls for one in seen.around for size in _sizes(scorer, one)}
    longest = max((size for seen in calls for size in _sizes(scorer, seen)), default=0)
    others = [size for size in _LENGTHS if size > longest]
    for length in sorted({*sorted(lengths)[-2:], longest + 1, *others[: _TRIED - 3]}):
        yield f"padded with zeros to {length} steps", _padded(length, first=False)
        yield f"padded with the first value to {length} steps", _padded(length, first=True)


def _free(scorer: Scorer) -> dict[str, list[int]]:
    """The inputs of free length, with the axes in which it is."""
    found = {}
    for name, spec in (scorer.inputs or {}).items():
        axes = (
            [i for i, size in enumerate(spec.shape.as_list()[1:], 1) if size is None]
            if spec.shape.rank
            else []
        )
        if axes:
            found[name] = axes
    return found


def _sizes(scorer: Scorer, seen: Seen) -> list[int]:
    feeds = seen.fitted.feeds
    return [
        feeds[n].shape[axis] for n, axes in _free(scorer).items() if n in feeds for axis in axes
    ]


def _trimmed(trial: Trial, seen: Seen) -> Rescored | None:
    shorter = _cut(trial.scorer, seen.fitted.feeds)
    if shorter is None:
        return None
    outputs = trial.score(shorter)
    return None if outputs is None else _cropped(seen, outputs)


def _alone_trimmed(trial: Trial, seen: Seen) -> Rescored | None:
    rows = np.arange(min(seen.fitted.count, 32))
    scored = []
    for row in rows.tolist():
        feeds = seen.fitted.rows(slice(row, row + 1))
        scored.append(trial.score(_cut(trial.scorer, feeds) or feeds))
    found = [one for one in scored if one is not None]
    if not found or len(found) < len(scored):
        return None
    shapes = {name: {one[name].shape[1:] for one in found} for name in found[0]}
    if any(len(one) > 1 for one in shapes.values()):
        return None
    return Rescored({n: np.concatenate([one[n] for one in found]) for n in found[0]}, rows)


def _padded(length: int, first: bool) -> Way:
    def way(trial: Trial, seen: Seen) -> Rescored | None:
        feeds = dict(seen.fitted.feeds)
        for name, axes in _free(trial.scorer).items():
            for axis in axes:
                array = feeds.get(name)
                if array is None or not array.size or array.shape[axis] >= length:
                    continue
                shape = list(array.shape)
                shape[axis] = length - shape[axis]
                nothing = b"" if array.dtype.kind in "OS" else array.dtype.type(0)
                filling = np.full(shape, array.flat[0] if first else nothing, array.dtype)
                feeds[name] = np.concatenate([array, filling], axis)
        if all(feeds[name] is seen.fitted.feeds[name] for name in feeds):
            return None
        outputs = trial.score(feeds)
        return None if outputs is None else _cropped(seen, outputs)

    return way


def _cut(scorer: Scorer, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The feeds without the steps at the end that are zero in all rows; None where there are none.

    Inputs of the same length keep one: they are steps of the same history.
    """
    lengths: dict[int, int] = {}
    free = {n: axes[0] for n, axes in _free(scorer).items() if n in feeds and len(axes) == 1}
    for name, axis in free.items():
        array = np.moveaxis(feeds[name], axis, 0)
        some = (array != (b"" if array.dtype.kind in "OS" else 0)).reshape(len(array), -1).any(1)
        used = int(np.flatnonzero(some).max(initial=0)) + 1
        lengths[len(array)] = max(lengths.get(len(array), 1), used)
    shorter = dict(feeds)
    for name, axis in free.items():
        size = feeds[name].shape[axis]
        if size and lengths[size] < size:
            shorter[name] = np.take(feeds[name], np.arange(lengths[size]), axis)
    return None if all(shorter[name] is feeds[name] for name in feeds) else shorter


def _cropped(seen: Seen, outputs: dict[str, np.ndarray]) -> Rescored:
    """Outputs that have a value a step, as long as they were."""
    cropped = {}
    for name, array in outputs.items():
        shape = seen.outputs[name].shape
        fits = array.ndim == len(shape) and all(
            a >= b for a, b in zip(array.shape, shape, strict=True)
        )
        cropped[name] = array[tuple(slice(size) for size in shape)] if fits else array
    return Rescored(cropped)
