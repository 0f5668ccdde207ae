"""Whether the moving statistics of a SavedModel fit examples, where there are any."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.load import Examples, load
from tfnorm.examples.spread import LIMIT
from tfnorm.scorers.scorer import Scorer
from tfnorm.statistics.judgement import DOUBTFUL, OFF
from tfnorm.statistics.results import REPAIR
from tfnorm.verify.inspection.findings import Finding
from tfnorm.verify.statistics.look import judgement

WITHOUT = "there are no examples to compare them with; give some by --examples"


Rows = dict[str, np.ndarray]


def rows_of(scorer: Scorer, examples: Examples | None) -> tuple[Rows | None, str]:
    """The examples that are given or, where none are, that the model keeps; or why there are none.

    Raises:
        InputError: the examples that were given can't be used.
    """
    if examples is not None:
        return load(examples, scorer, LIMIT).rows, ""
    if scorer.kept_examples is None:
        return None, WITHOUT
    try:
        return load(None, scorer, LIMIT).rows, ""
    except InputError as error:
        return None, str(error)


def check_statistics(
    scorer: Scorer, rows: Rows | None, without: str, *, own: bool, allow_misfit: bool
) -> Iterator[Finding]:
    """What examples say of the statistics that a model normalizes with.

    Args:
        scorer: the model.
        rows: the examples; None for what the model keeps of some.
        without: why there are none.
        own: whether the model keeps them.
        allow_misfit: whether statistics that are off are no error.
    """
    fit, unknown = judgement([scorer], rows, without, own=own)
    if fit is not None:
        severity, advice = "info", ""
        if fit.verdict in (OFF, DOUBTFUL):
            severity = "error" if fit.verdict == OFF and not allow_misfit else "warning"
            advice = (
                f"Repair the Keras model with examples of the training, by {REPAIR!r}, and export it "
                "again."
            )
        layer = None if fit.worst is None else fit.worst.name
        yield Finding(severity, None, None, layer, f"the moving statistics {fit}", advice)
    if unknown is not None:
        yield not_looked_at(unknown)


def not_looked_at(reason: str) -> Finding:
    """That the statistics could not be compared with anything."""
    message = f"the moving statistics were not looked at: {reason}"
    return Finding("info", None, None, None, message, "")
