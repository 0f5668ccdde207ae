"""The same batch twice: what draws, and what a call changes."""

from __future__ import annotations

from collections.abc import Iterator

from tfnorm.graph.nodes import data_inputs
from tfnorm.graph.ops import is_assignment, is_random
from tfnorm.verify.culprit.experiments.experiment import (
    Accusation,
    PairExperiment,
    Subject,
    changing,
)
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.rounding import OTHER_SHAPES
from tfnorm.verify.culprit.rows import Alignment
from tfnorm.verify.culprit.search import Found


class Repeat(PairExperiment):
    """Nothing differs."""

    def pairs(self, subject: Subject) -> Iterator[Pair]:
        """One batch, given twice."""
        batch = subject.batches.take(0, subject.size)
        sizes = (subject.size, subject.size)
        yield Pair((batch, batch), batch, Alignment(subject.size, sizes), OTHER_SHAPES)

    def accuse(self, found: Found) -> Accusation:
        """The op that draws, or that changes the state which moved; a seed's reader draws nothing."""
        nodes = found.region.nodes
        node = nodes[found.node]
        acts = is_random(node.op) or is_assignment(node.op)
        if not acts and not found.region.assigned.isdisjoint(data_inputs(node)):
            drawing = [n for n in nodes if n in found.path and is_random(nodes[n].op)]
            node = nodes[(drawing + changing(found) + [found.node])[0]]
        what = "draws at every call" if is_random(node.op) else "changes from call to call"
        return Accusation(found.region, node.name, f"{node.op} {what}")
