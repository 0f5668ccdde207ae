"""What a part of a log comes to, for each model, and what is the same for all parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tfnorm.replay.comparison.bounds import Bounds
from tfnorm.replay.comparison.outputs import Pair
from tfnorm.replay.judgement.sample import Sample
from tfnorm.replay.partial.partial import Partial


@dataclass(frozen=True)
class Basis:
    """What a log's first calls decide for all that follow, on whatever machine.

    Attributes:
        named: the name of the model that answered; None where the log doesn't say.
        pairs: the outputs that belong together, of each model.
        bounds: what is rounding, of each model.
        unpaired: why no outputs belong together, of each model; None where some do.

    Example:

        >>> bounds = Bounds.from_dict({"atol": 1e-6, "rtol": 1e-5, "precision": None, "scales": {}})
        >>> Basis("ranker", [[]], [bounds], [None]).named
        'ranker'
    """

    named: str | None
    pairs: list[list[Pair]]
    bounds: list[Bounds]
    unpaired: list[str | None]


@dataclass
class Part:
    """What some files of a log come to: it can be pickled, and merges with that of others in any order.

    It has counts and sketches, and of the requests the few that are looked into; it does not grow with the
    log.

    Attributes:
        drawn: the calls that were looked at.
        batches_known: whether the log says which rows were scored together.
        passed_over: why some of them have nothing to compare -> how many.
        partials: what the others come to, of each model.
        samples: some calls, of each model.

    Example:

        >>> part = Part(3, True, Counter(), [], [])
        >>> part.merge(Part(4, True, Counter({"a request without an answer": 1}), [], []))
        >>> part.drawn, part.passed_over.total()
        (7, 1)
    """

    drawn: int
    batches_known: bool
    passed_over: Counter[str]
    partials: list[Partial]
    samples: list[Sample] = field(repr=False)

    def merge(self, other: Part) -> None:
        """Add what another has.

        Raises:
            InputError: it was made on another basis.
        """
        self.drawn += other.drawn
        self.batches_known &= other.batches_known
        self.passed_over.update(other.passed_over)
        for mine, theirs in zip(self.partials, other.partials, strict=True):
            mine.merge(theirs)
        for sample, others in zip(self.samples, other.samples, strict=True):
            sample.merge(others)

    @property
    def below(self) -> list[tuple[float, float]]:
        """What the samples of another part need not keep, of each model: see `Sample`."""
        return [sample.below for sample in self.samples]
