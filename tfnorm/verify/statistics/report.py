"""The report on a model's statistics: its result, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tfnorm.reports.document import Document
from tfnorm.verify.statistics.results import FitResult
from tfnorm.verify.statistics.text import to_text


class FitReport(FitResult, Document):
    """Whether the statistics that a model normalizes with fit examples, to print and to keep.

    Attributes:
        target: what was looked at.
        signature: its signature; None for a Keras model, which has none.
        fit: whether the statistics fit; None where no statistics could be looked at.
        nothing: why no statistics could be looked at; None where some could.
        exported: the comparison that was made when an export was written; None where it keeps none.
        by_batch: the layers that normalize by the moments of each batch, without any statistics.
        unseen: the layers in loops, and in branches that the examples do not decide.
        judged: which of the two decides: `fit`, or `exported` for layers that were folded.
        failed: whether the statistics are off, or a layer has none.
        passed: whether all statistics could be looked at, and none is off; doubtful ones pass.
        provenance: the versions of the packages, when the report was made, how long it took, and the
            fingerprints of what it is about; None where that was not kept.

    Example:

        >>> model = keras.Sequential([keras.Input((1,), name="x"), BatchNormalization(name="bn")])
        >>> tfnorm.verify_statistics(model, {"x": np.linspace(2, 4, 64)[:, None]}).failed
        True
    """

    def __str__(self) -> str:
        return to_text(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as dicts, lists and plain values; a number that isn't finite is None."""
        return {
            "target": self.target,
            "signature": self.signature,
            "passed": self.passed,
            "failed": self.failed,
            "statistics": None if self.fit is None else self.fit.to_dict(),
            "nothing": self.nothing,
            "exported": None if self.exported is None else self.exported.to_dict(),
            "by_batch": list(self.by_batch),
            "unseen": list(self.unseen),
            "provenance": None if self.provenance is None else asdict(self.provenance),
        }
