"""The same rows among other neighbours: what mixes the rows of a batch."""

from __future__ import annotations

from collections.abc import Iterator

from tfnorm.graph.control_flow import LOOPS
from tfnorm.verify.culprit.experiments.experiment import (
    Accusation,
    PairExperiment,
    Subject,
    changing,
)
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.rounding import EQUAL_SHAPES
from tfnorm.verify.culprit.rows import Alignment
from tfnorm.verify.culprit.search import Found


class Neighbours(PairExperiment):
    """The neighbours differ; the batch's size and the rows' place don't."""

    def pairs(self, subject: Subject) -> Iterator[Pair]:
        """The same rows before, and after, other neighbours."""
        batches, size = subject.batches, subject.size
        rows, others = batches.take(0, subject.watched), size - subject.watched
        plain = batches.take(subject.watched, others)
        for other in (
            batches.take(size, others, factor=10.0),
            batches.take(size, others, factor=-10.0),
            batches.take(size, others, factor=0.0),
            batches.take(0, others),
        ):
            yield Pair(
                (batches.join(rows, plain), batches.join(rows, other)),
                None if batches.fixed_size else rows,
                Alignment(subject.watched, (size, size), (False, False)),
                EQUAL_SHAPES,
            )
            yield Pair(
                (batches.join(plain, rows), batches.join(other, rows)),
                None if batches.fixed_size else rows,
                Alignment(subject.watched, (size, size), (True, True)),
                EQUAL_SHAPES,
            )

    def accuse(self, found: Found) -> Accusation:
        """Whether the op reduces the batch away, mixes its rows, or keeps some in the model's state."""
        op_type = found.region.nodes[found.node].op
        if writing := [name for name in changing(found) if name != found.node]:
            written = found.region.nodes[writing[0]].op
            what = f"{written} writes what is in the batch to state that its rows are scored with"
            return Accusation(found.region, writing[0], what)
        over = found.lost_batch and op_type not in LOOPS
        what = "over the batch axis" if over else "mixes the rows of the batch"
        return Accusation(found.region, found.node, f"{op_type} {what}")
