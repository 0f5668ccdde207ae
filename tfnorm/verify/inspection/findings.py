"""What an inspection gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tfnorm.reports.provenance import Provenance

SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One thing to know about a SavedModel.

    Args:
        severity: "error" (scores will be wrong, or TensorFlow Serving refuses the model), "warning"
            (they may be) or "info".
        op: the op's name, or the variable's or input's; None for the model as a whole.
        op_type: what it is, such as `Mean`; None where `op` is no op.
        layer: the Keras layer around it, or else the name scope; None where there is none.
        message: what was found.
        advice: what to do; empty where there is nothing to do.

    Example:

        for finding in tfnorm.inspect_saved_model("exports/ranker").findings:
            print(finding.severity, finding.op, finding.message)
    """

    severity: str
    op: str | None
    op_type: str | None
    layer: str | None
    message: str
    advice: str


@dataclass(frozen=True)
class Findings:
    """What an inspection of a SavedModel has found.

    Args:
        directory: where the SavedModel is.
        signature: the signature looked into.
        findings: worst first, then in the order of the graph.
        provenance: the versions of the packages, when the report was made, how long it took, and the
            fingerprints of what it is about; None where that was not kept. Inspections that are equal but
            for it are equal.
    """

    directory: Path
    signature: str
    findings: tuple[Finding, ...]
    provenance: Provenance | None = field(default=None, compare=False)

    @property
    def passed(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings)
