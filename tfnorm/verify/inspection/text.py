"""An inspection as people, and programs, read it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tfnorm.reports.provenance import with_provenance
from tfnorm.terminal import plain_text
from tfnorm.verify.inspection.findings import SEVERITIES, Finding, Findings

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def render(inspection: Findings) -> RenderableType:
    """The inspection for `rich.print` or a `rich.console.Console`: the worst first."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for finding in inspection.findings:
        table.add_row(Text(finding.severity, style=_STYLES[finding.severity]), Text(_said(finding)))
    title = f"{inspection.directory}  signature {inspection.signature}"
    return Group(
        Text(title), "", Padding(table, (0, 0, 1, 2)), Padding(_verdict(inspection), (0, 0, 0, 2))
    )


def to_text(inspection: Findings, width: int = 100) -> str:
    """The inspection as plain text.

    Args:
        width: the longest line, in characters.
    """
    return plain_text(with_provenance(render(inspection), inspection.provenance), width)


def to_dict(inspection: Findings) -> dict[str, object]:
    """The inspection as dicts, lists and plain values."""
    return {
        "directory": str(inspection.directory),
        "signature": inspection.signature,
        "passed": inspection.passed,
        "findings": [dataclasses.asdict(finding) for finding in inspection.findings],
        "provenance": inspection.provenance and dataclasses.asdict(inspection.provenance),
    }


def _said(finding: Finding) -> str:
    kind = f" ({finding.op_type})" if finding.op_type else ""
    layer = f", in layer {finding.layer}" if finding.layer else ""
    where = f"{finding.op}{kind}{layer}: " if finding.op else ""
    advice = f"\n{finding.advice}" if finding.advice else ""
    return f"{where}{finding.message}{advice}"


def _verdict(inspection: Findings) -> Text:
    from rich.text import Text

    counts = {
        severity: sum(finding.severity == severity for finding in inspection.findings)
        for severity in SEVERITIES[:2]
    }
    found = ", ".join(f"{n} {severity}{'s' * (n != 1)}" for severity, n in counts.items() if n)
    if not inspection.passed:
        return Text.assemble(("FAILED", "bold red"), f"  {found}")
    after = found or "nothing wrong is seen"
    return Text.assemble(
        ("PASSED", "bold green"),
        f"  {after}; to be sure of the scores: tfnorm verify {inspection.directory}",
    )
