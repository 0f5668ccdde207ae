"""Compare the statistics that a model normalizes with with those of examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras

from tfnorm.errors import InputError
from tfnorm.examples.load import Examples, load
from tfnorm.examples.spread import LIMIT
from tfnorm.reports.provenance import Stopwatch
from tfnorm.scorers.inputs import constant
from tfnorm.scorers.load import load_scorer
from tfnorm.scorers.scorer import Fed, Scorer
from tfnorm.verify.statistics.look import by_batch, look
from tfnorm.verify.statistics.report import FitReport


def verify_statistics(
    target: keras.Model | str | Path,
    examples: Examples | None = None,
    *,
    signature: str | None = None,
    feed: Mapping[str, object] | None = None,
) -> FitReport:
    """Find out whether the means and variances that a model normalizes with fit examples.

    In a Keras model, the layers with moving statistics are compared. In a SavedModel, whoever wrote it,
    each normalization with fixed statistics is: the fused op in inference mode, and

        (x - mean) * rsqrt(variance + epsilon) * gamma + beta
        x * scale + (beta - mean * scale),    scale = rsqrt(variance + epsilon) * gamma

    in functions and branches too. The values that flow into it over the examples are compared with its
    statistics, and the examples are scored once more with their own statistics in the place of those.
    `docs/statistics.md` says from where on statistics are off.

    Args:
        target: a Keras model, a `.keras` file, or the directory of a SavedModel or of its versions.
        examples: arrays by input name, `[examples, ...]`, or a file of them, as
            `verify_batch_invariance` takes it; of many, 4,096 evenly spread are looked at. None for
            those that an export keeps beside the model.
        signature: the name of a signature of a SavedModel; None for "serving_default".
        feed: input name -> its value in every batch, for inputs that are no part of the examples; None for
            none.

    Returns:
        The report: `print` it, or take its `passed`, `failed`, `fit`, `by_batch` and `unseen`.

    Raises:
        InputError: the target or the examples can't be used, or there is nothing to look at.

    Example:

        >>> model = keras.Sequential([keras.Input((1,), name="x"), BatchNormalization(name="bn")])
        >>> report = verify_statistics(model, {"x": np.linspace(2, 4, 64)[:, None]})
        >>> report.fit.verdict, report.fit.worst.name
        ('off', 'bn')
    """
    watch = Stopwatch()
    scorer = load_scorer(target, signature=signature)
    try:
        if feed:
            scorer = Fed(scorer, {k: constant(k, v, scorer.inputs) for k, v in feed.items()})
        return _report(scorer, examples, watch)
    finally:
        scorer.close()


def _report(scorer: Scorer, examples: Examples | None, watch: Stopwatch) -> FitReport:
    if examples is None and scorer.kept_examples is None:
        raise InputError(
            f"{scorer.name} comes with no examples; give some by --examples (examples=)"
        )
    rows = load(examples, scorer, LIMIT).rows
    seen = look(scorer, rows, own=examples is None)
    batch = list(seen.by_batch)
    if scorer.keras_model() is not None:
        known = {name.rpartition("/")[2] for name in batch}
        batch += [name for name in by_batch(scorer, rows) if name.rpartition("/")[2] not in known]
    report = FitReport(
        fit=seen.fit,
        nothing=seen.nothing,
        exported=seen.exported,
        by_batch=tuple(batch),
        unseen=seen.unseen,
        own=seen.own,
        target=scorer.name,
        signature=scorer.signature,
        provenance=watch.provenance({"model": scorer}, rows),
    )
    if report.judged is None and not report.by_batch and not report.unseen:
        reason = seen.nothing or "it has no layer with moving statistics"
        raise InputError(f"{scorer.name} has nothing to look at: {reason}")
    return report
