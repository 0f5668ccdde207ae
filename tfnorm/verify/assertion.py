"""The verifier in a test."""

from __future__ import annotations

from pathlib import Path

import keras

from tfnorm.examples.load import Examples
from tfnorm.scorers.scorer import BareScorer
from tfnorm.verify.report.text import to_text
from tfnorm.verify.verification import verify_batch_invariance


def assert_batch_invariant(
    model: keras.Model | str | Path | BareScorer, examples: Examples | None = None
) -> None:
    """Assert that a model's scores do not depend on the batch, as `verify_batch_invariance` finds out.

    It does not compare the model's statistics with the examples: those of a test may come from anywhere.

    Args:
        model: what `load_scorer` takes, or a scorer.
        examples: arrays by input name, `[examples, ...]`, or an `.npz` file of them; None for those
            that an export keeps beside the model.

    Raises:
        AssertionError: they do; the message is the report.
        InputError: it could not tell.

    Example:

        def test_scores_do_not_depend_on_the_batch():
            assert_batch_invariant("exports/ranker", "examples.npz")
    """
    __tracebackhide__ = True  # pytest then points at the test.
    report = verify_batch_invariance(model, examples, allow_misfit_statistics=True)
    if not report.passed:
        raise AssertionError(to_text(report))
