"""The same rows at the start of a batch and at its end: what counts rows."""

from __future__ import annotations

from collections.abc import Iterator

from tfnorm.verify.culprit.experiments.experiment import Accusation, PairExperiment, Subject
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.rounding import other_blocks
from tfnorm.verify.culprit.rows import Alignment
from tfnorm.verify.culprit.search import Found


class Position(PairExperiment):
    """The rows' place differs; their neighbours don't."""

    def pairs(self, subject: Subject) -> Iterator[Pair]:
        """The rows first, and last."""
        batches, watched, size = subject.batches, subject.watched, subject.size
        rows, others = batches.take(0, watched), batches.take(watched, size - watched)
        yield Pair(
            (batches.join(rows, others), batches.join(others, rows)),
            None if batches.fixed_size else rows,
            Alignment(watched, (size, size), (False, True)),
            other_blocks(subject.probe.epsilon),
        )

    def accuse(self, found: Found) -> Accusation:
        """The op into which the place flows."""
        text = "the row's place in the batch flows in here"
        return Accusation(found.region, found.node, text)
