"""The same batch twice: what draws, and what a call changes."""

from __future__ import annotations

from collections.abc import Iterator

from tfnorm.graph.nodes import data_inputs
from tfnorm.graph.ops import is_assignment, is_random
from tfnorm.verify.culprit.experiments.experiment import Accusation, PairExperiment, Subject
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
        if not is_random(node.op) and not is_assignment(node.op):
            state = [t for t in data_inputs(node) if t in found.region.assigned]
            drawing = [n for n in nodes if n in found.path and is_random(nodes[n].op)]
            changing = [
                name
                for name in nodes
                if is_assignment(nodes[name].op) and set(state) & set(data_inputs(nodes[name]))
            ]
            if state:
                node = nodes[(drawing + changing + [found.node])[0]]
        what = "draws at every call" if is_random(node.op) else "changes from call to call"
        return Accusation(found.region, node.name, f"{node.op} {what}")
