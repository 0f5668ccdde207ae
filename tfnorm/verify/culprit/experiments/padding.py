"""The same batch, padded longer: what takes the padding for values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfnorm.verify.culprit.experiments.experiment import Accusation, PairExperiment, Subject
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.rounding import other_blocks
from tfnorm.verify.culprit.rows import Alignment
from tfnorm.verify.culprit.search import Found


class Padding(PairExperiment):
    """Zeros, or empty strings, follow after the variable-length inputs."""

    def pairs(self, subject: Subject) -> Iterator[Pair]:
        """One pair for each length that the inputs have; those of equal length grow together."""
        batch = subject.batches.take(0, subject.size)
        axes = subject.batches.variable_axes
        for length in sorted({batch[name].shape[axis] for name, axis in axes} - {0}):
            more = length // 2 + 3
            longer = dict(batch)
            for name, axis in axes:
                if batch[name].shape[axis] == length:
                    longer[name] = _pad(longer[name], axis, more)
            yield Pair(
                (batch, longer),
                batch,
                Alignment(length, (length, length + more)),
                other_blocks(subject.probe.epsilon),
                longer=True,
            )

    def accuse(self, found: Found) -> Accusation:
        """The op that takes the padding in."""
        return Accusation(
            found.region,
            found.node,
            f"{found.region.nodes[found.node].op} takes the padding for values",
            "Mask the padding, so that an example scores the same whatever the longest of its batch is.",
        )


def _pad(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    widths = [(0, count if i == axis else 0) for i in range(array.ndim)]
    nothing: dict[str, str | bytes] = {"U": "", "S": b"", "O": b""}
    return np.pad(array, widths, constant_values=nothing.get(array.dtype.kind, 0))
