"""Batches of a signature's examples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfnorm.errors import InputError
from tfnorm.session import Signature

Feeds = Mapping[str, np.ndarray]


class Batches:
    """Makes batches of a signature's examples.

    Args:
        signature: the signature.
        examples: input name -> array, the first axis being the example.
        constants: input name -> what it is in every batch.

    Raises:
        InputError: the examples don't fit the signature.
    """

    def __init__(self, signature: Signature, examples: Feeds, constants: Feeds | None = None):
        constants = constants or {}
        arrays = {**examples, **constants}
        self._examples = {name: np.asarray(array) for name, array in arrays.items()}
        signature.check(self._examples)
        self._signature = signature
        specs = signature.inputs
        first = {n: s.shape[0] if s.shape.rank else None for n, s in specs.items()}
        ranked = {n for n, s in specs.items() if s.shape.rank != 0 and n not in constants}
        self._batched = {n for n in ranked if first[n] is None} or ranked
        if not self._batched:
            raise InputError(f"signature {signature.name!r} has no input with a batch dimension")
        self.fixed_size: int | None = None
        if all(first[name] is not None for name in self._batched):
            self.fixed_size = first[min(self._batched)]
        counts = {len(self._examples[name]) for name in self._batched}
        if len(counts) != 1 or 0 in counts:
            held = (f"{len(self._examples[name])} {name!r}" for name in sorted(self._batched))
            raise InputError(
                f"the inputs hold {', '.join(held)}; "
                "as many examples are needed of each, and at least one"
            )
        self.count = counts.pop()

    @property
    def row_bytes(self) -> int:
        """The bytes of an example, the characters of strings aside."""
        return sum(self._examples[name][:1].nbytes for name in self._batched)

    @property
    def variable_axes(self) -> list[tuple[str, int]]:
        """The axes whose length the signature leaves open, besides the batch's: (input, axis)."""
        return [
            (name, axis)
            for name in sorted(self._batched)
            for axis, length in enumerate(self._signature.inputs[name].shape.as_list()[1:], 1)
            if length is None
        ]

    def take(self, start: int, count: int, *, factor: float = 1.0) -> dict[str, np.ndarray]:
        """`count` examples from `start` on, round and round; their floats times `factor`."""
        return self.rows((start + np.arange(count)) % self.count, factor=factor)

    def rows(self, rows: np.ndarray, *, factor: float = 1.0) -> dict[str, np.ndarray]:
        """The examples of these numbers; their floats times `factor`."""
        taken = dict(self._examples)
        for name in self._batched:
            taken[name] = self._examples[name][rows]
            if factor != 1 and self._signature.inputs[name].dtype.is_floating:
                taken[name] = (taken[name] * factor).astype(taken[name].dtype)
        return taken

    def join(self, first: Feeds, second: Feeds) -> dict[str, np.ndarray]:
        """The rows of one batch, then those of another."""
        return {
            name: np.concatenate([first[name], second[name]])
            if name in self._batched
            else first[name]
            for name in first
        }
