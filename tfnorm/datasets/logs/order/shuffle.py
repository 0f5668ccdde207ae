"""Rows in another order, with only some of them in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tfnorm.datasets.click_log import Examples


def shuffled(
    parts: Iterator[Examples], buffer: int, rng: np.random.Generator
) -> Iterator[Examples]:
    """The rows in a random order: one comes out only after others have come into a buffer with it."""
    held: list[Examples] = []
    count = 0
    for part in parts:
        held.append(part)
        count += len(part)
        if count >= buffer:
            mixed = _mixed(held, rng)
            out = max(1, count // 2)
            yield mixed[:out]
            held, count = [mixed[out:]], count - out
    if count:
        yield _mixed(held, rng)


def rebatched(parts: Iterator[Examples], batch_size: int) -> Iterator[Examples]:
    """The rows in their order, in parts of whole batches but for the last."""
    held: list[Examples] = []
    count = 0
    for part in parts:
        held.append(part)
        count += len(part)
        if count >= batch_size:
            whole = joined(held)
            out = count // batch_size * batch_size
            yield whole[:out]
            held, count = [whole[out:]], count - out
    if count:
        yield joined(held)


def joined(parts: Sequence[Examples]) -> Examples:
    """One after the other; lists are padded to the longest."""
    first = parts[0]
    features = {name: _joined([part.features[name] for part in parts]) for name in first.features}

    def optional(name: str) -> np.ndarray | None:
        if getattr(first, name) is None:
            return None
        return np.concatenate([getattr(part, name) for part in parts])

    labels = np.concatenate([part.labels for part in parts])
    return Examples(features, labels, optional("users"), optional("weights"))


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    if arrays[0].ndim == 1 or len({array.shape[1] for array in arrays}) == 1:
        return np.concatenate(arrays)
    widest = max(array.shape[1] for array in arrays)
    dtype = np.result_type(*(array.dtype for array in arrays))
    whole = np.zeros((sum(map(len, arrays)), widest), dtype)
    if dtype.kind == "O":
        whole[...] = b""
    row = 0
    for array in arrays:
        whole[row : row + len(array), : array.shape[1]] = array
        row += len(array)
    return whole


def _mixed(parts: list[Examples], rng: np.random.Generator) -> Examples:
    whole = joined(parts)
    return whole[rng.permutation(len(whole))]
