"""What a model came to, from what was added up over all calls and what was tried on some."""

from __future__ import annotations

from tfnorm.replay.judgement.diagnosis import Case, Diagnosis
from tfnorm.replay.partial.partial import Partial
from tfnorm.replay.partial.quality import Quality
from tfnorm.replay.results import (
    DIFFERENT,
    EQUAL,
    QUANTILES,
    UNKNOWN,
    ModelResult,
    QualityResult,
)


def model_result(case: Case, found: Diagnosis) -> ModelResult:
    """The result of one model."""
    partial, points = case.partial, case.partial.points
    pairs = zip(points.logged.tolist(), points.new.tolist(), strict=True)
    return ModelResult(
        target=case.scorer.name,
        signature=case.scorer.signature,
        verdict=_verdict(partial),
        outputs=[str(pair) for pair in case.pairs],
        calls=partial.calls,
        rows=partial.rows,
        calls_different=partial.calls_different,
        rows_different=partial.rows_different,
        rows_changed=partial.rows_changed,
        one_way=partial.one_way,
        max_abs_diff=partial.largest,
        quantiles={q: min(partial.quantiles.quantile(q), partial.largest) for q in QUANTILES},
        worst=partial.worst.calls(),
        ranking=partial.ranking.result,
        logged=_quality(partial.logged),
        new=_quality(partial.new),
        problems=dict(partial.problems),
        unfit=dict(partial.unfit),
        notes=dict(partial.notes),
        versions={version: list(counts) for version, counts in sorted(partial.versions.items())},
        dependence=found.dependence,
        causes=found.causes,
        ruled_out=found.ruled_out,
        points=[list(pair) for pair in pairs],
    )


def _verdict(partial: Partial) -> str:
    """What can't be given to the model may differ, so that the others can't say that all is equal."""
    if not partial.equal:
        return DIFFERENT
    return UNKNOWN if partial.unfit or not partial.rows else EQUAL


def _quality(quality: Quality | None) -> QualityResult | None:
    if quality is None or not quality.rows:
        return None
    return QualityResult(quality.rows, quality.auc, quality.error, quality.log_loss)
