"""What an experiment is given, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tfnorm.errors import InputError
from tfnorm.graph.nodes import data_inputs
from tfnorm.graph.ops import is_assignment
from tfnorm.verify.culprit.batches import Batches, Feeds
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.probe import Probe
from tfnorm.verify.culprit.region import Region
from tfnorm.verify.culprit.search import Found, Search


@dataclass(frozen=True)
class Subject:
    """What is looked into.

    Args:
        probe: the signature laid open.
        batches: makes batches of its examples.
        watched: how many rows to watch.
        size: in batches of which size.
    """

    probe: Probe
    batches: Batches
    watched: int
    size: int

    def scores(self, feeds: Feeds) -> list[np.ndarray] | None:
        """The outputs for a batch; None where the model refuses it, which then tells nothing."""
        try:
            return self.probe.run(feeds, self.probe.base.outputs)
        except InputError:
            return None


@dataclass(frozen=True)
class Accusation:
    """An op to blame.

    Args:
        region: where it stands.
        node: its name there.
        explanation: what it does to the batch, in a few words.
        advice: what to do instead; empty for the advice that its type has.
    """

    region: Region
    node: str
    explanation: str
    advice: str = ""


def changing(found: Found) -> list[str]:
    """What assigns the state that the found op reads: the ops' names, none where it reads no such state."""
    nodes = found.region.nodes
    state = {t for t in data_inputs(nodes[found.node]) if t in found.region.assigned}
    return [
        name
        for name in nodes
        if is_assignment(nodes[name].op) and not state.isdisjoint(data_inputs(nodes[name]))
    ]


class Experiment(Protocol):
    """Lets one thing differ between two batches, and accuses the op that passes it on to the rows."""

    def find(self, subject: Subject) -> Accusation | None:
        """The op to blame; None where no output moves, or the model refuses all such batches."""


class PairExperiment(ABC):
    """An experiment that compares the tensors of two batches."""

    @abstractmethod
    def pairs(self, subject: Subject) -> Iterable[Pair]:
        """The pairs of batches, the most telling first."""

    @abstractmethod
    def accuse(self, found: Found) -> Accusation:
        """What to say of the op at which the rows part."""

    def find(self, subject: Subject) -> Accusation | None:
        """The op to blame, by the first pair that moves an output."""
        for pair in self.pairs(subject):
            first, second = map(subject.scores, pair.feeds)
            if first is None or second is None or all(map(pair.same, first, second)):
                continue
            if found := Search(subject.probe, pair).find():
                return self.accuse(found)
        return None
