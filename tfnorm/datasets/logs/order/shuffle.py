"""Rows in another order, with only some of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfnorm.datasets.click_log import Examples


def shuffled(
    parts: Iterator[Examples], buffer: int, rng: np.random.Generator
) -> Iterator[Examples]:
    """The rows in a random order: one comes out only after others have come into a buffer with it."""
    return _regrouped(
        parts, buffer, lambda held: _mixed(held, rng), lambda count: max(1, count // 2)
    )


def rebatched(parts: Iterator[Examples], batch_size: int) -> Iterator[Examples]:
    """The rows in their order, in parts of whole batches but for the last."""
    return _regrouped(parts, batch_size, joined, lambda count: count // batch_size * batch_size)


def joined(parts: Sequence[Examples], places: np.ndarray | None = None) -> Examples:
    """All in one; lists are padded to the longest.

    Args:
        parts: one or more.
        places: where each of their rows comes, one part after the other; None to leave them so.
    """
    first = parts[0]
    ends = np.cumsum([len(part) for part in parts])
    into = None if places is None else np.split(places, ends[:-1])
    features = {
        name: _joined([part.features[name] for part in parts], into) for name in first.features
    }

    def optional(name: str) -> np.ndarray | None:
        if getattr(first, name) is None:
            return None
        return _joined([getattr(part, name) for part in parts], into)

    labels = _joined([part.labels for part in parts], into)
    return Examples(features, labels, optional("users"), optional("weights"))


def _regrouped(
    parts: Iterator[Examples],
    least: int,
    together: Callable[[Sequence[Examples]], Examples],
    leaving: Callable[[int], int],
) -> Iterator[Examples]:
    """Other parts of the same rows.

    Args:
        parts: the rows as they come.
        least: how many are held before some leave.
        together: makes one part of those that are held.
        leaving: how many of so many then leave; the others stay for the next part.
    """
    held: list[Examples] = []
    count = 0
    for part in parts:
        held.append(part)
        count += len(part)
        if count >= least:
            whole = together(held)
            out = leaving(count)
            yield whole[:out]
            held, count = [whole[out:]], count - out
    if count:
        yield together(held)


def _joined(arrays: list[np.ndarray], into: list[np.ndarray] | None) -> np.ndarray:
    alike = len({array.shape[1:] for array in arrays}) == 1
    if alike and into is None:
        return np.concatenate(arrays)
    dtype = np.result_type(*(array.dtype for array in arrays))
    count = sum(map(len, arrays))
    if alike:
        whole = np.empty((count, *arrays[0].shape[1:]), dtype)
    else:
        whole = np.zeros((count, max(array.shape[1] for array in arrays)), dtype)
        if dtype.kind == "O":
            whole[...] = b""
    row = 0
    for n, array in enumerate(arrays):
        rows = slice(row, row + len(array)) if into is None else into[n]
        if alike:
            whole[rows] = array
        else:
            whole[rows, : array.shape[1]] = array
        row += len(array)
    return whole


def _mixed(parts: Sequence[Examples], rng: np.random.Generator) -> Examples:
    order = rng.permutation(sum(map(len, parts)))
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return joined(parts, places)
