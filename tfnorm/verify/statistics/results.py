"""What a look at a model's statistics shows, as plain data that knows none of its views."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfnorm.reports.provenance import Provenance
from tfnorm.statistics.judgement import DOUBTFUL, FITS, OFF, UNDECIDED
from tfnorm.statistics.results import StatisticsFit


@dataclass(frozen=True)
class Look:
    """What was seen of a model's statistics.

    Attributes:
        fit: whether those that it has fit the examples; None where none could be looked at.
        nothing: why none could be looked at; None where some could, or where the model has none for
            certain.
        exported: what the examples of an export said when it was written, of layers too that are folded
            since; None where it keeps no such thing.
        by_batch: the layers that normalize by the moments of each batch, without any statistics.
        unseen: the layers in loops, and in branches that the examples do not decide.
        own: whether the examples are those that the export keeps, and was judged by.
    """

    fit: StatisticsFit | None
    nothing: str | None = None
    exported: StatisticsFit | None = None
    by_batch: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    own: bool = False

    @property
    def judged(self) -> StatisticsFit | None:
        """What decides: the look at the examples, or what the export says of layers that are gone.

        Of its own examples the export knows more than its graph shows: masks, and what was folded.
        """
        seen, kept = self.fit, self.exported
        if seen is None or kept is None:
            return seen or kept
        if self.own:
            return kept if kept.verdict != UNDECIDED else seen
        if {layer.name for layer in kept.layers} <= {layer.name for layer in seen.layers}:
            return seen
        order = (OFF, DOUBTFUL, FITS, UNDECIDED)
        return min(seen, kept, key=lambda fit: order.index(fit.verdict))


@dataclass(frozen=True)
class FitResult(Look):
    """Whether the statistics that a model normalizes with fit examples.

    Attributes:
        target: what was looked at.
        signature: its signature; None for a Keras model, which has none.
        provenance: the versions of the packages, when the report was made, how long it took, and the
            fingerprints of what it is about. It does not count when reports are compared.
    """

    target: str = ""
    signature: str | None = None
    provenance: Provenance | None = field(default=None, compare=False)

    @property
    def failed(self) -> bool:
        """Whether they are off, or a layer has none and normalizes by the batch."""
        return bool(self.by_batch) or (self.judged is not None and self.judged.verdict == OFF)

    @property
    def passed(self) -> bool:
        """Whether all could be looked at, and none is off; what is doubtful passes."""
        told = self.judged is not None and self.judged.verdict != UNDECIDED
        return told and not self.failed and not self.unseen
