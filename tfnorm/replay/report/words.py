"""What a replay found, in words and figures that every view shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import PurePath

from tfnorm.parity.ranking import RankingResult
from tfnorm.replay.partial.worst import WorstCall
from tfnorm.replay.results import (
    BATCH,
    EQUAL,
    INPUTS,
    NOT_FOUND,
    PADDING,
    SERVER_BATCHING,
    TRANSFORMED,
    UNKNOWN,
    VERSION,
    ModelResult,
    QualityResult,
    ReplayResult,
)
from tfnorm.verify.judgement.tolerance import ATOL, RTOL

_INDEPENDENT = (
    "make scores independent of the batch: `tfnorm verify` on the model names the op to blame"
)
_NEXT = {
    BATCH: _INDEPENDENT,
    SERVER_BATCHING: _INDEPENDENT,
    PADDING: "mask the padding in the model, so that what follows an example's last step moves no score",
    VERSION: "compare the log with the version that answered it",
    TRANSFORMED: "compare with the output that is logged, or log the score as the model gives it",
    INPUTS: "look at what is done to inputs between log and model; --rows writes the rows that differ",
    NOT_FOUND: "give the version that answered; --rows writes the rows that differ",
}


def title(report: ReplayResult) -> str:
    """What was replayed, and with what."""
    model = report.model
    calls = counted(report.calls_drawn, "request")
    if report.calls_drawn < report.calls_given:
        calls = f"{report.calls_drawn:,} of {counted(report.calls_given, 'request')}"
    parts = [report.log, f"{calls}, {counted(model.rows, 'row')}", model.target]
    if model.signature:
        parts.append(f"signature {model.signature}")
    return "  ".join([*parts, ", ".join(model.outputs)])


def figures(report: ReplayResult) -> list[tuple[str, list[str]]]:
    """The table: what is told, and what it is for each model."""
    models = [model for model in (report.model, report.against) if model is not None]
    rows: list[tuple[str, list[str]]] = [
        ("rows that differ", [f"{m.rows_different:,} / {m.rows:,}" for m in models]),
        ("requests that differ", [f"{m.calls_different:,} / {m.calls:,}" for m in models]),
    ]
    if any(m.rows_changed for m in models):
        rows += [
            (f"{100 * q:.4g}% of rows within", [move(m.quantiles[q]) for m in models])
            for q in models[0].quantiles
        ]
        rows.append(("largest difference", [move(m.max_abs_diff) for m in models]))
    rankings = [m.ranking for m in models]
    if any(rankings):
        rows += [
            ("another first place", [_percent(r.first_changed) if r else "-" for r in rankings]),
            ("pairs in another order", [_percent(r.pairs_changed) if r else "-" for r in rankings]),
            ("Kendall's tau", [_number(r.tau) if r else "-" for r in rankings]),
        ]
    if any(m.new for m in models):
        rows += [
            (f"{what} of the {whose} scores", [shown(one) if one else "-" for one in of])
            for what, shown in (("AUC", auc), ("log loss", log_loss))
            for whose, of in (
                ("logged", [m.logged for m in models]),
                ("new", [m.new for m in models]),
            )
        ]
    return rows


def summary(report: ReplayResult) -> list[tuple[str, list[str]]]:
    """The same in fewer lines, for a screen."""
    models = [model for model in (report.model, report.against) if model is not None]
    rows = figures(report)[:2]
    if any(m.rows_changed for m in models):
        within = [[m.quantiles[0.5], m.quantiles[0.99], m.max_abs_diff] for m in models]
        rows.append(("off: median, 99%, max", ["  ".join(map(move, one)) for one in within]))
    if any(m.ranking for m in models):
        rows.append(("rank: 1st, pairs; tau", [_ranks(m.ranking) for m in models]))
    if any(m.new for m in models):
        rows += [
            ("AUC: logged, new", [_both(m, short_auc) for m in models]),
            ("log loss: logged, new", [_both(m, log_loss) for m in models]),
        ]
    return rows


def verdict_lines(report: ReplayResult) -> list[tuple[str, str]]:
    """What came out and what to do next: a word and what it says, line by line."""
    model = report.model
    lines = [_verdict(report, model)]
    lines += [("why", _cause(model, place)) for place in range(len(model.causes[:3]))]
    if model.ruled_out:
        lines.append(("ruled out", "; ".join(model.ruled_out)))
    lines += [("inputs", _many(model.notes))] if model.notes else []
    if model.unfit:
        lines.append(("not replayed", _many(model.unfit)))
    if model.dependence.depends and model.verdict == EQUAL:
        lines.append(
            (
                "but",
                f"scores depend on the batch, by up to {move(model.dependence.move)} where rows are "
                f"scored one at a time or with other requests ({model.dependence.calls:,} tried): "
                "server-side batching would move them; `tfnorm verify` on the model names the op to blame",
            )
        )
    if report.against is not None:
        lines.append(("against", _against(report, report.against)))
    if report.labels is not None and (model.new is None or model.new.rows < model.rows):
        lines.append(("labels", _labelled(report.labels, model)))
    if report.passed_over:
        lines.append(("passed over", _many(report.passed_over)))
    if not report.batches_known:
        lines.append(
            (
                "batches",
                "the table has no column that tells requests apart: rows were scored 256 at a time",
            )
        )
    if model.causes:
        lines.append(("next", _NEXT[model.causes[0].kind]))
    return lines


def worst_rows(model: ModelResult) -> list[tuple[str, str, str, str, str]]:
    """Each of the worst requests: which, how many rows differ, by how much, what is logged and new."""
    return [
        (
            _which(one),
            f"{one.rows_different:,} / {one.rows:,}",
            move(one.difference),
            _number(one.logged),
            _number(one.new),
        )
        for one in model.worst
    ]


def _which(call: WorstCall) -> str:
    """A request's number and name, and of a log of several files its file's name."""
    named = str(call.number) if call.key is None else f"{call.number} ({call.key})"
    return named if call.file is None else f"{PurePath(call.file).name} {named}"


def move(difference: float) -> str:
    """A difference in a table."""
    if not math.isfinite(difference):
        return "-"
    return "0" if difference == 0 else f"{difference:.1e}"


def counted(count: int, what: str) -> str:
    """So many of something."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def auc(quality: QualityResult) -> str:
    """The AUC, with how far the exact one may be away where that shows."""
    if quality.auc is None:
        return "-"
    shown = f"{quality.auc:.4f}"
    return (
        f"{shown} ± {quality.auc_error:.0e}"
        if quality.auc_error and quality.auc_error >= 5e-5
        else shown
    )


def short_auc(quality: QualityResult) -> str:
    """The AUC, with the digits that are known of it."""
    if quality.auc is None:
        return "-"
    error = max(quality.auc_error or 0.0, 5e-5)
    return f"{quality.auc:.{max(1, math.floor(-math.log10(2 * error)))}f}"


def log_loss(quality: QualityResult) -> str:
    """The log loss; a dash for scores that are no probabilities."""
    return _number(quality.log_loss)


def _verdict(report: ReplayResult, model: ModelResult) -> tuple[str, str]:
    rows, calls = counted(model.rows, "row"), counted(model.calls, "request")
    if model.verdict == EQUAL:
        given = report.atol > ATOL or report.rtol > RTOL
        but = "within the tolerance that was given" if given else "but for rounding"
        off = (
            "exactly"
            if model.max_abs_diff == 0
            else f"{but}: no row is off by more than {move(model.max_abs_diff)}"
        )
        return (
            "EQUAL",
            f"the log has what the model gives, {off} ({rows} of {calls}, in their batches)",
        )
    if model.verdict == UNKNOWN:
        unfit = sum(model.unfit.values())
        if not model.rows:
            return "COULD NOT TELL", "no request that can be given to the model has a row"
        return (
            "COULD NOT TELL",
            f"{counted(unfit, 'request')} can't be given to the model; the other {model.calls:,} are equal",
        )
    if model.problems:
        return "DIFFERENT", _many(model.problems)
    if not model.calls_different:
        return (
            "DIFFERENT",
            f"{model.rows_changed:,} of {rows} are off, by no more than {move(model.max_abs_diff)} each, "
            "but nearly all the same way: rounding goes both ways",
        )
    by = (
        f"by up to {move(model.max_abs_diff)}"
        if math.isfinite(model.max_abs_diff)
        else "of which some are no number, or another string"
    )
    return (
        "DIFFERENT",
        f"{model.rows_different:,} of {rows}, in {model.calls_different:,} of {calls}, are not what the "
        f"model gives, {by}",
    )


def _cause(model: ModelResult, place: int) -> str:
    cause = model.causes[place]
    tried = f" ({cause.calls:,} of {cause.of:,} requests tried)" if cause.of else ""
    return f"{cause.said}{tried}"


def _against(report: ReplayResult, model: ModelResult) -> str:
    if not model.calls:
        return f"{model.target} could not be compared: {_many(model.unfit)}"
    said = _verdict(report, model)[1].replace("the model", model.target, 1)
    return said if model.verdict == EQUAL else f"had it served: {said}"


def _labelled(labels: str, model: ModelResult) -> str:
    if model.new is not None:
        return f"{model.new.rows:,} of {counted(model.rows, 'row')} have one"
    return (
        f"no row has one: {labels} is no name of labels in the log, nor a file whose columns request and "
        "row say which rows these are, by the log's own name for a request, else its number"
    )


def _ranks(ranking: RankingResult | None) -> str:
    if ranking is None:
        return "-"
    changed = map(_percent, (ranking.first_changed, ranking.pairs_changed))
    return "  ".join((*changed, _number(ranking.tau)))


def _many(counts: Mapping[str, int]) -> str:
    shown = [f"{reason} ({count:,})" for reason, count in list(counts.items())[:3]]
    left = len(counts) - len(shown)
    return "; ".join(shown) + (f"; and {left} more reasons" if left else "")


def _percent(share: float) -> str:
    return "0" if share == 0 else f"{share:.1%}" if share >= 1e-3 else "under 0.1%"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"


def _both(model: ModelResult, shown: Callable[[QualityResult], str]) -> str:
    if model.logged is None or model.new is None:
        return "-"
    return f"{shown(model.logged)}  {shown(model.new)}"
