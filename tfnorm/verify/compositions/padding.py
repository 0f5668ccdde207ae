"""Longer padding of variable-length inputs: zeros added at the end must not move a score."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Padding:
    """Inputs to make longer together, since they are equally long.

    Attributes:
        axes: the inputs, each with the axis that is free.
        steps: how many zeros, or empty strings, to add.
        shown: whether some example ends in them, so that they are known to be padding.
    """

    axes: tuple[tuple[str, int], ...]
    steps: int
    shown: bool

    @property
    def inputs(self) -> str:
        """The inputs as people read them."""
        return ", ".join(repr(name) for name, _ in self.axes)

    def objection(self, unpadded: Collection[str]) -> str | None:
        """Why zeros at the end of these inputs are not to be added to; None where they are padding.

        Args:
            unpadded: the inputs of which it was said that they are no padding.
        """
        values = [repr(name) for name, _ in self.axes if name in unpadded]
        if values:
            return f"zeros at the end of {', '.join(values)} were said to be no padding"
        return None if self.shown else "no example ends in zeros: they may mean more"

    def apply(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The feeds with the padding."""
        longer = dict(feeds)
        for name, axis in self.axes:
            array = longer[name]
            shape = list(array.shape)
            shape[axis] = self.steps
            filling = np.full(shape, _nothing(array), array.dtype)
            longer[name] = np.concatenate([array, filling], axis=axis)
        return longer


def paddings(
    examples: Mapping[str, np.ndarray], inputs: Mapping[str, tf.TensorSpec] | None
) -> list[Padding]:
    """What can be padded, for each length that an input may vary in."""
    groups: dict[int, list[tuple[str, int]]] = {}
    for name, spec in (inputs or {}).items():
        if (
            name not in examples
            or not spec.shape.rank
            or (spec.dtype.is_floating and spec.shape.rank > 3)
        ):
            continue
        for axis, size in enumerate(spec.shape.as_list()[1:], start=1):
            length = examples[name].shape[axis]
            if size is None and length:
                groups.setdefault(length, []).append((name, axis))
    return [
        Padding(
            tuple(axes),
            length // 2 + 3,
            any(_ends_in_nothing(examples[name], axis) for name, axis in axes),
        )
        for length, axes in groups.items()
    ]


def cropped(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An output of padded inputs without the steps that the padding added to it."""
    if values.ndim != len(shape) + 1:
        return values
    return values[(slice(None), *(slice(size) for size in shape))]


def _nothing(array: np.ndarray) -> object:
    return b"" if array.dtype.kind in "OS" else array.dtype.type(0)


def _ends_in_nothing(array: np.ndarray, axis: int) -> bool:
    """Whether some example, but for one that is nothing else, ends in zeros."""
    steps = np.moveaxis(array, axis, 1).reshape(len(array), array.shape[axis], -1)
    empty = (steps == _nothing(array)).all(axis=2)
    return bool((empty[:, -1] & ~empty.all(axis=1)).any())
