"""The report on a model's statistics as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfnorm.reports.provenance import with_provenance
from tfnorm.statistics.judgement import DOUBTFUL, OFF, UNDECIDED
from tfnorm.statistics.results import REPAIR, LayerFit
from tfnorm.terminal import plain_text
from tfnorm.verify.statistics.results import FitResult

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

SHOWN = 10
"""How many layers the table shows, so that the whole fits a screen of 24 lines."""

COLUMNS = ("channel", "mean", "examples'", "std", "examples'", "mean off", "std ratio")

BY_BATCH = "layers normalize by the moments of each batch, so that a score depends on its batch"

IN_LOOPS = "stand in a loop, or a branch that the examples do not decide, where nothing can be seen"

NEXT = (
    f"repair the Keras model with examples of the training: {REPAIR}, and export it again; code of "
    "TensorFlow 1 must run its UPDATE_OPS in training"
)

_STYLES = {"PASSED": "bold green", "FAILED": "bold red", "WARNING": "yellow"}


def render(report: FitResult) -> RenderableType:
    """The report for `rich.print` or a `rich.console.Console`."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    verdict = Table.grid(padding=(0, 2))
    for key, line in verdict_lines(report):
        verdict.add_row(Text(key, style=_STYLES.get(key, "")), Text(line))
    parts: list[RenderableType] = [Text(title(report)), ""]
    layers = worst_first(report)
    if layers:
        parts.append(Padding(_table(layers[:SHOWN], report), (0, 0, 0, 2)))
        rest = len(layers) - SHOWN
        parts.append(f"  and {rest:,} more, less far off\n" if rest > 0 else "")
    return Group(*parts, Padding(verdict, (0, 0, 0, 2)))


def to_text(report: FitResult, width: int = 100) -> str:
    """The report as plain text.

    Args:
        width: the longest line, in characters.
    """
    return plain_text(with_provenance(render(report), report.provenance), width)


def title(report: FitResult) -> str:
    """What was looked at, and with what."""
    signature = [f"signature {report.signature}"] if report.signature else []
    judged = report.judged
    examples = [] if judged is None else [f"{judged.examples:,} examples"]
    return "  ".join([report.target, *signature, *examples])


def worst_first(report: FitResult) -> list[LayerFit]:
    """The layers that were compared, those that are farthest off before the others."""
    layers = () if report.judged is None else report.judged.layers
    return sorted(layers, key=lambda layer: -layer.distance)


def cells(layer: LayerFit) -> tuple[str, ...]:
    """The figures of a layer's farthest channel, as `COLUMNS` has them."""
    off, ratio = layer.mean_difference[layer.channel], layer.std_ratio[layer.channel]
    figures = (layer.mean, layer.data_mean, layer.std, layer.data_std)
    return (
        str(layer.channel),
        *(f"{value:.3g}" for value in figures),
        f"{off:+.2f}",
        f"{ratio:.2f}",
    )


def verdict_lines(report: FitResult) -> list[tuple[str, str]]:
    """What came out and what to do next: a word and what it says, line by line."""
    judged = report.judged
    lines = []
    if report.by_batch:
        lines.append(("FAILED", f"{BY_BATCH}: {', '.join(report.by_batch)}"))
    if judged is not None:
        words = {OFF: "FAILED", DOUBTFUL: "WARNING", UNDECIDED: "undecided"}
        word = words.get(judged.verdict, "PASSED" if report.passed else "statistics")
        lines.append((word, f"the moving statistics {judged}"))
    if judged is not None and judged is report.exported:
        lines.append(
            (
                "when",
                "it was exported, by the examples that it keeps and before anything was folded",
            )
        )
    if report.unseen:
        lines.append(("not seen", f"{', '.join(report.unseen)} {IN_LOOPS}"))
    if judged is not None and judged.layers:
        lines.append(("units", "mean off: (mean - examples') / their std; std ratio: std / theirs"))
    if judged is not None and judged.verdict in (OFF, DOUBTFUL):
        lines.append(("next", NEXT))
    elif judged is not None and judged.verdict == UNDECIDED:
        lines.append(("next", "give more examples, of the training or of the same days"))
    elif report.by_batch:
        lines.append(
            ("next", "give them moving statistics: tfnorm.BatchNormalization, tfnorm.Dice")
        )
    return lines


def _table(layers: list[LayerFit], report: FitResult) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column("layer", overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for layer in layers:
        table.add_row(Text(layer.name), *cells(layer))
    return table
