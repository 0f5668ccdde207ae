"""How far a model's scores are from another's, in words."""

from __future__ import annotations

import math
from collections.abc import Callable

from tfnorm.parity.ranking import RankingResult
from tfnorm.verify.report.rows import move
from tfnorm.verify.results import PARITY_QUANTILES, InvarianceResult, Parity, ParityOutput

_SHOWN = 3
"""Outputs that are told of."""


def parity_lines(report: InvarianceResult) -> list[tuple[str, str]]:
    """What is told of another model beside whether scores differ: a word and what it says, by lines."""
    parity = report.parity
    if parity is None:
        return []
    # Those that are farthest apart tell most.
    by_distance = sorted(parity.outputs.items(), key=lambda item: -item[1].max_abs_diff)
    lines = [
        ("against", f"{_named(name, output, parity)}: {_output(output, report.examples, parity)}")
        for name, output in by_distance[:_SHOWN]
    ]
    rest = len(by_distance) - _SHOWN
    if rest > 0:
        lines.append(("against", f"{rest} more outputs, less far apart"))
    if parity.lacking:
        names = ", ".join(map(repr, parity.lacking))
        others = ", ".join(map(repr, parity.unasked))
        asked = (
            f", but {others}; say which belong together by --output NAME=OTHER" if others else ""
        )
        lines.append(("left out", f"{names}: {parity.against} has no such output{asked}"))
    return lines


def parity_figures(parity: Parity) -> tuple[list[str], list[list[str]]]:
    """A table: what is told, and what it is of each output."""
    heads = [
        "",
        *(name if name == o.other else f"{name}, {o.other}" for name, o in parity.outputs.items()),
    ]
    outputs = list(parity.outputs.values())
    rows = [["rows that differ", *(f"{output.rows_different:,}" for output in outputs)]]
    rows += [
        [
            f"{100 * share:.4g}% of rows within",
            *(move(output.quantiles.get(share, math.inf)) for output in outputs),
        ]
        for share in PARITY_QUANTILES
    ]
    rows.append(["largest difference", *(move(output.max_abs_diff) for output in outputs)])
    of_ranking: list[tuple[str, Callable[[RankingResult], str]]] = [
        ("pairs in another order", lambda ranking: _percent(ranking.pairs_changed)),
        (
            "Kendall's tau",
            lambda ranking: "-" if ranking.tau is None else f"{ranking.tau:.4f}",
        ),
    ]
    if parity.per_request:
        of_ranking.insert(
            0, ("another first place", lambda ranking: _percent(ranking.first_changed))
        )
    if any(output.ranking for output in outputs):
        rows += [
            [name, *(told(o.ranking) if o.ranking else "-" for o in outputs)]
            for name, told in of_ranking
        ]
    if any(output.auc is not None for output in outputs):
        aucs = [(_auc(output.auc), _auc(output.auc_other)) for output in outputs]
        rows += [
            ["AUC", *(auc for auc, _ in aucs)],
            ["AUC of the other", *(auc for _, auc in aucs)],
        ]
    return heads, rows


def _auc(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def advice(report: InvarianceResult) -> str:
    """What to do where the scores are not the other model's."""
    parity = report.parity
    if "://" in report.target or parity is None or "://" in parity.against:
        return "export the model again, and have the server load that version"
    return (
        "if the two should be one model, export it again; if they differ on purpose, what it means for "
        "logged requests is told by: tfnorm replay LOG MODEL --against OTHER"
    )


def order(share: float) -> str:
    """Which share of pairs change order."""
    return "no pair changes order" if share == 0 else f"{_percent(share)} of pairs change order"


def _percent(share: float) -> str:
    return "0" if share == 0 else f"{share:.1%}" if share >= 5e-4 else "under 0.1%"


def _named(name: str, output: ParityOutput, parity: Parity) -> str:
    if len(parity.outputs) == 1 and name == output.other:
        return parity.against
    other = "" if name == output.other else f" beside {output.other!r}"
    return f"{name!r}{other} of {parity.against}"


def _output(output: ParityOutput, examples: int, parity: Parity) -> str:
    if output.max_abs_diff == 0:
        return "exactly equal"
    if not output.quantiles:
        return "they can't be compared"
    within = ", ".join(
        f"{100 * share:.4g}%{' of rows' if n == 0 else ''} within {_far(value)}"
        for n, (share, value) in enumerate(output.quantiles.items())
    )
    differ = (
        f"{output.rows_different:,} of {examples:,} rows differ by more than rounding"
        if output.rows_different
        else "equal but for rounding"
    )
    said = [f"{differ}: {within}"]
    ranking = output.ranking
    if ranking is not None and output.rows_different:
        share = order(ranking.pairs_changed)
        if parity.per_request:
            share += (
                f" within {ranking.requests:,} requests, and {_percent(ranking.first_changed)} of those have "
                "another first place"
            )
        tau = "" if ranking.tau is None else f"; Kendall's tau {ranking.tau:.4f}"
        said.append(f"{share}{tau}")
    if output.auc is not None and output.auc_other is not None:
        said.append(f"AUC {_auc(output.auc)}; the other's {_auc(output.auc_other)}")
    return "; ".join(said)


def _far(difference: float) -> str:
    return move(difference) if math.isfinite(difference) else "a number"
