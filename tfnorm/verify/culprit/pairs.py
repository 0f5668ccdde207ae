"""Pairs of batches that hold the same examples and differ in one thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfnorm.errors import InputError
from tfnorm.session import Signature
from tfnorm.verify.culprit.rows import Alignment, Tolerance

Feeds = Mapping[str, np.ndarray]

# Equal shapes run the same kernels in the same order: what differs has moved.
SAME_KERNELS = Tolerance(units=4, elementwise=True)
# Other shapes round otherwise.
OTHER_KERNELS = Tolerance(units=64)


@dataclass(frozen=True)
class Pair:
    """Two batches with the same watched rows.

    Args:
        kind: what differs: "repeat" (nothing), "neighbours", "position" or "padding".
        feeds: the two batches.
        alone: the watched rows by themselves; None where the batch size is fixed.
        alignment: where the watched rows stand.
        tolerance: how much they may move by rounding.
    """

    kind: str
    feeds: tuple[Feeds, Feeds]
    alone: Feeds | None
    alignment: Alignment
    tolerance: Tolerance

    def moved(self, alone: tuple[int, ...], first: np.ndarray, second: np.ndarray) -> bool:
        """Whether the watched rows of a tensor moved; `alone` is its shape for them by themselves."""
        views = self.alignment.views(alone, first, second)
        return all(self.tolerance.differ(*view) for view in views)


class Batches:
    """Makes batches of a signature's examples.

    Raises:
        InputError: the examples don't fit the signature.
    """

    def __init__(self, signature: Signature, examples: Feeds):
        self._examples = {name: np.asarray(array) for name, array in examples.items()}
        signature.check(self._examples)
        self._signature = signature
        specs = signature.inputs
        first = {n: s.shape[0] if s.shape.rank else None for n, s in specs.items()}
        ranked = {n for n, s in specs.items() if s.shape.rank != 0}
        self._batched = {n for n in ranked if first[n] is None} or ranked
        if not self._batched:
            raise InputError(f"signature {signature.name!r} has no input with a batch dimension")
        self.fixed_size = None
        if all(first[name] is not None for name in self._batched):
            self.fixed_size = first[min(self._batched)]
        counts = {len(self._examples[name]) for name in self._batched}
        if len(counts) != 1 or 0 in counts:
            held = (f"{len(self._examples[name])} {name!r}" for name in sorted(self._batched))
            raise InputError(
                f"the inputs hold {', '.join(held)}; "
                "as many examples are needed of each, and at least one"
            )
        self._count = counts.pop()

    def take(self, start: int, count: int, *, factor: float = 1.0) -> dict[str, np.ndarray]:
        """`count` examples from `start` on, round and round; their floats times `factor`."""
        rows = (start + np.arange(count)) % self._count
        taken = dict(self._examples)
        for name in self._batched:
            taken[name] = self._examples[name][rows]
            if factor != 1 and self._signature.inputs[name].dtype.is_floating:
                taken[name] = (taken[name] * factor).astype(taken[name].dtype)
        return taken

    def repeat(self, size: int) -> Pair:
        """The same batch twice."""
        batch = self.take(0, size)
        return Pair("repeat", (batch, batch), batch, Alignment(size, (size, size)), OTHER_KERNELS)

    def neighbours(self, watched: int, size: int) -> Iterator[Pair]:
        """The same rows before, and after, other neighbours."""
        rows, others = self.take(0, watched), size - watched
        alone = None if self.fixed_size else rows
        plain = self.take(watched, others)
        for other in (
            self.take(size, others, factor=10.0),
            self.take(size, others, factor=-10.0),
            self.take(size, others, factor=0.0),
            self.take(0, others),
        ):
            for last in (False, True):
                feeds = tuple(
                    self._join(beside, rows) if last else self._join(rows, beside)
                    for beside in (plain, other)
                )
                alignment = Alignment(watched, (size, size), (last, last))
                yield Pair("neighbours", feeds, alone, alignment, SAME_KERNELS)

    def position(self, watched: int, size: int, tolerance: Tolerance) -> Pair:
        """The same rows at the start of a batch and at the end."""
        rows, others = self.take(0, watched), self.take(watched, size - watched)
        feeds = (self._join(rows, others), self._join(others, rows))
        alignment = Alignment(watched, (size, size), (False, True))
        return Pair("position", feeds, None if self.fixed_size else rows, alignment, tolerance)

    def padding(self, size: int, tolerance: Tolerance) -> Iterator[Pair]:
        """The same batch with zeros, or empty strings, after its variable-length inputs."""
        batch = self.take(0, size)
        variable = [
            (name, axis)
            for name in sorted(self._batched)
            for axis, length in enumerate(self._signature.inputs[name].shape.as_list()[1:], 1)
            if length is None
        ]
        for length in sorted({batch[name].shape[axis] for name, axis in variable} - {0}):
            longer = dict(batch)
            for name, axis in variable:
                if batch[name].shape[axis] == length:
                    longer[name] = _pad(longer[name], axis, length // 2 + 3)
            alignment = Alignment(length, (length, length + length // 2 + 3))
            yield Pair("padding", (batch, longer), batch, alignment, tolerance)

    def _join(self, first: Feeds, second: Feeds) -> dict[str, np.ndarray]:
        return {
            name: np.concatenate([first[name], second[name]])
            if name in self._batched
            else first[name]
            for name in first
        }


def _pad(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    widths = [(0, count if i == axis else 0) for i in range(array.ndim)]
    return np.pad(
        array, widths, constant_values={"U": "", "S": b"", "O": b""}.get(array.dtype.kind, 0)
    )
