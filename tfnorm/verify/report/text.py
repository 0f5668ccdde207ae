"""A report as people read it: what was done, what came out, what to do next, in one screen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfnorm.reports.provenance import with_provenance
from tfnorm.statistics.judgement import DOUBTFUL, OFF
from tfnorm.statistics.results import REPAIR
from tfnorm.terminal import plain_text
from tfnorm.verify.compositions.plan import ALONE
from tfnorm.verify.report.parity import advice, order, parity_lines
from tfnorm.verify.report.rows import move, rows
from tfnorm.verify.results import DEPENDENCE, DIFFERENCE, CompositionResult, InvarianceResult

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

SAME = "same"
"""The word before what is said of scores that stay the same where something else has failed."""

SHOWN = 8
"""How many compositions the table shows, so that the whole fits a screen of 24 lines."""

VERDICTS = {True: "passed", False: "failed", None: "undecided"}
"""What `passed` is in a word."""

_STYLES = {
    "PASSED": "bold green",
    "FAILED": "bold red",
    "UNDECIDED": "bold",
    "WARNING": "yellow",
}

_VALUE = 20
"""Characters that are shown of what an input was fed."""

_NAME = 60
"""Characters that the table shows of a composition's name, which takes several lines where it must."""

_REASONS = 3
"""Reasons to leave something out, or to tell nothing of it, that are shown."""

_CAUSES: tuple[tuple[set[str], str], ...] = (
    ({"repeat"}, "from one call to the next"),
    ({"neighbours"}, "with the batch around it"),
    ({"concurrent"}, "with the requests that come at the same time"),
    ({"size", "position"}, "with the size of the batch, or its place in it"),
    ({"size"}, "with the size of the batch"),
    ({"position"}, "with its place in the batch"),
    ({"padding rows"}, "with the rows that the batch is padded with"),
    ({"padding"}, "with the padding of {inputs}"),
    (set(), "with the batch around it"),
)
"""What a score moves with, by the kinds of composition that move it; the first that fits."""


def render(report: InvarianceResult) -> RenderableType:
    """The report for `rich.print` or a `rich.console.Console`."""
    from rich.console import Group
    from rich.padding import Padding

    return Group(
        _title(report),
        "",
        Padding(_table(report), (0, 0, 0, 2)),
        Padding(_others(report), (0, 0, 0, 2)),
        Padding(_verdict(report), (0, 0, 0, 2)),
    )


def to_text(report: InvarianceResult, width: int = 100) -> str:
    """The report as plain text.

    Args:
        width: the longest line, in characters.
    """
    return plain_text(with_provenance(render(report), report.provenance), width)


def title(report: InvarianceResult) -> str:
    """What was verified, and with what."""
    outputs = ", ".join(f"{name}: {output.dtype}" for name, output in report.outputs.items())
    signature = [f"signature {report.signature}"] if report.signature else []
    examples = f"{report.examples:,} examples"
    if report.examples < report.examples_given:
        examples = f"{report.examples:,} of {report.examples_given:,} examples"
    fed = (
        [f"fed {', '.join(f'{k}={v[:_VALUE]}' for k, v in report.fed.items())}"]
        if report.fed
        else []
    )
    return "  ".join([report.target, *signature, *fed, examples, outputs])


def verdict_lines(report: InvarianceResult) -> list[tuple[str, str]]:
    """What came out and what to do next: a word and what it says, line by line."""
    by_invariance = _passed if report.invariant else _failed
    lines = (_undecided if report.passed is None else by_invariance)(report)
    if report.misfit and report.invariant:
        lines = [(SAME, said) for _, said in lines]
    place = 0 if report.misfit else 1 if report.invariant else len(lines)
    lines[place:place] = statistics_lines(report)
    if padded := _padded(report.compositions):
        zeros = f"zeros at the end of {', '.join(padded)} are padding"
        lines.append(("assumed", f"{zeros}; an input in which they are values: --unpadded INPUT"))
    lines += _by_reason("not told", {repr(name): said for name, said in report.untold.items()})
    return lines + _by_reason("left out", report.left_out)


def statistics_lines(report: InvarianceResult) -> list[tuple[str, str]]:
    """Whether the statistics fit the examples, and what to do where they don't."""
    fit, lines = report.statistics, []
    if fit is not None and fit.verdict in (OFF, DOUBTFUL):
        word = "FAILED" if report.misfit else "WARNING"
        lines += [(word, f"the moving statistics {fit}"), ("next", repair())]
    elif fit is not None:
        lines.append(("", f"the moving statistics {fit}"))
    if report.statistics_unknown is not None:
        lines.append(("", f"the moving statistics were not looked at: {report.statistics_unknown}"))
    return lines


def repair() -> str:
    """What to do where statistics don't fit."""
    return (
        f"repair the Keras model with examples of the training, by {REPAIR!r}, and export it again; "
        "--allow-misfit-statistics (allow_misfit_statistics=True) goes on without"
    )


def _title(report: InvarianceResult) -> Text:
    from rich.text import Text

    return Text(title(report))


def _table(report: InvarianceResult) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="")
    # Names take several lines where figures would else be cut.
    table.add_column("composition", overflow="fold")
    for header in ("batch", "rows moved", "largest move", "ulp"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_row("one at a time", "1", "reference")
    for row in rows(report)[:SHOWN]:
        first = row.results[0].name
        shown = first if len(first) <= _NAME else f"{first[: _NAME - 1]}…"
        style = "" if row.passed else "red"
        table.add_row(
            shown + row.name[len(first) :], row.sizes, row.moved, row.largest, row.ulp, style=style
        )
    return table


def _others(report: InvarianceResult) -> str:
    """What the table leaves out."""
    rest = [result for row in rows(report)[SHOWN:] for result in row.results]
    if not rest:
        return ""
    still = sum(result.rows_changed == 0 for result in rest)
    failed = sum(not result.passed for result in rest)
    rounded = len(rest) - still - failed
    counts = ((failed, "failed"), (rounded, "only rounded"), (still, "moved no row"))
    return f"and {len(rest)} more: " + ", ".join(f"{n} {what}" for n, what in counts if n) + "\n"


def _verdict(report: InvarianceResult) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for key, line in verdict_lines(report):
        style = _STYLES.get(key, "")
        table.add_row(Text(key, style=style), Text(line))
    return table


def _passed(report: InvarianceResult) -> list[tuple[str, str]]:
    return [("PASSED", _still(report)), *parity_lines(report), *_at_stake(report)]


def _still(report: InvarianceResult) -> str:
    """That no score depends on the batch."""
    batches = [result for result in report.compositions if result.kind != "parity"]
    largest = max((result.max_abs_diff for result in batches), default=0.0)
    if largest == 0:
        return f"{_done(report)}: no score moves at all"
    return f"{_done(report)}: no score moves by more than {move(largest)} (rounding)"


def _undecided(report: InvarianceResult) -> list[tuple[str, str]]:
    return [
        ("UNDECIDED", f"{_done(report)}: no score moves by more than rounding, which does not tell")
    ]


def _done(report: InvarianceResult) -> str:
    """On how much the verdict rests."""
    done = f"{report.examples:,} examples, {len(report.compositions)} compositions"
    if not report.left_out:
        return done
    largest = max((result.batch_size for result in report.compositions), default=1)
    return f"{done} in batches of up to {largest:,}, {len(report.left_out)} left out"


def _by_reason(word: str, reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    """A line for each reason: a word, the first thing that it is the reason of, and how many more."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    # Those of which there are most tell most.
    shown = sorted(names, key=lambda reason: -len(names[reason]))
    lines = []
    for reason in shown[:_REASONS]:
        name, *others = names[reason]
        more = f" (and {len(others)} more)" if others else ""
        lines.append((word, f"{name}{more}: {reason}"))
    if rest := sum(len(names[reason]) for reason in shown[_REASONS:]):
        lines.append((word, f"{rest} more, for other reasons"))
    return lines


def _failed(report: InvarianceResult) -> list[tuple[str, str]]:
    lines = [("FAILED", line) for line in _findings(report)]
    if {result.kind for result in report.compositions if not result.passed} == {"parity"}:
        lines.append((SAME, _still(report)))
    culprit = report.culprit
    if culprit is None:
        if report.culprit_unknown is not None:
            lines.append(("culprit", f"not known: {report.culprit_unknown}"))
        following = _advice(report)
    else:
        layer = f", in layer {culprit.layer}" if culprit.layer else ""
        source = f" ({culprit.source})" if culprit.source else ""
        lines.append(("culprit", f"{culprit.op}: {culprit.explanation}{layer}{source}"))
        following = culprit.advice
    return [*lines, *parity_lines(report), ("next", following), *_at_stake(report)]


def _findings(report: InvarianceResult) -> list[str]:
    problems = {
        name: found.problem
        for result in report.compositions
        for name, found in result.outputs.items()
        if found.problem is not None
    }
    findings = [f"output {name!r}: {problem}" for name, problem in problems.items()]
    for name, output in report.outputs.items():
        if output.passed or name in problems:
            continue
        score = "a score" if len(report.outputs) == 1 else f"a value of {name!r}"
        for kind in ("parity", "other"):
            results = [
                result
                for result in report.compositions
                if name in result.outputs
                and not result.outputs[name].passed
                and (result.kind == "parity") == (kind == "parity")
            ]
            if results:
                worst = max(results, key=lambda r: r.outputs[name].max_abs_diff)
                moved = worst.outputs[name].max_abs_diff
                findings.append(f"{score} {_moved(moved, results)}")
    return findings


def _moved(difference: float, results: list[CompositionResult]) -> str:
    finite = math.isfinite(difference)
    if results[0].kind == "parity":
        by = f"by up to {move(difference)}" if finite else "by more than a number"
        return f"differs {by} from {results[0].name.removeprefix('against ')}"
    moves = (
        f"moves by up to {move(difference)}"
        if finite
        else "becomes another (NaN, infinite or another string)"
    )
    return f"{moves} {_cause(results)}"


def _cause(results: list[CompositionResult]) -> str:
    # Among neighbours, only what is compared at equal batch sizes tells that it is they.
    kinds = {r.kind for r in results if r.kind != "neighbours" or r.against != ALONE}
    cause = next(cause for needed, cause in _CAUSES if needed <= kinds)
    return cause.format(inputs=", ".join(_padded(results)))


def _padded(results: list[CompositionResult]) -> list[str]:
    """The inputs of which longer padding was tried, as people read them."""
    padded = [r.name.partition(" of ")[2] for r in results if r.kind == "padding"]
    return [name for names in padded for name in names.split(", ")]


def _at_stake(report: InvarianceResult) -> list[tuple[str, str]]:
    stake = report.stake
    if stake is None:
        return []
    said = []
    if stake.composition is not None:
        share = order(stake.pairs_changed)
        said.append(f"{share} ({stake.composition}, {stake.batch_size:,} a batch)")
    if stake.auc:
        best, worst = (choose(stake.auc, key=stake.auc.__getitem__) for choose in (max, min))
        high, low = f"{stake.auc[best]:.4f}", f"{stake.auc[worst]:.4f}"
        said.append(
            f"AUC {high} at {best:,} a batch, {low} at {worst:,}"
            if high != low
            else f"AUC {high} at every batch size, 1 to {max(stake.auc):,}"
        )
    return (
        [("labels" if stake.composition is None else "at stake", "; ".join(said))] if said else []
    )


def _advice(report: InvarianceResult) -> str:
    if any(found.problem for result in report.compositions for found in result.outputs.values()):
        return "each example must keep a row of its own in every output, of a shape of its own"
    verdicts = {result.verdict for result in report.compositions}
    if DEPENDENCE not in verdicts and DIFFERENCE not in verdicts:
        return "identical bits were asked for; without that, what is only rounding passes"
    if DEPENDENCE not in verdicts:
        return advice(report)
    failed = {result.kind for result in report.compositions if not result.passed}
    if "repeat" in failed:
        return (
            "even alone, an example scores differently the second time: look for something random, "
            "such as dropout left on, or a state that a call changes"
        )
    if failed == {"padding"}:
        return "mask the padding: what follows an example's last step must not move its score"
    return (
        "look for what uses the other rows: Dice or BatchNormalization with the batch's own "
        "statistics (tfnorm.Dice and tfnorm.BatchNormalization keep moving ones, used unless "
        "training=True), a softmax, a sum or a sort over the batch axis"
    )
