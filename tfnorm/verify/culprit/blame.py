"""Find the culprit in whatever was verified, if it can be looked into."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping

import numpy as np

from tfnorm.errors import InputError
from tfnorm.scorers.keras_model import KerasScorer
from tfnorm.scorers.load import Scorer
from tfnorm.scorers.saved_model import SavedModelScorer
from tfnorm.verify.culprit.investigation import find_culprit
from tfnorm.verify.results import Culprit


def blame(
    scorer: Scorer, local: Scorer | None, examples: Mapping[str, np.ndarray]
) -> tuple[Culprit | None, str | None]:
    """The culprit, or why it isn't known.

    Args:
        scorer: what failed.
        local: a model on this machine that the scorer should be equal to.
        examples: the examples that it was verified with.
    """
    try:
        for model in (scorer, local):
            if isinstance(model, SavedModelScorer):
                found = find_culprit(model.model, examples, signature=model.signature)
                return found, None if found else "no op was found by itself"
            if isinstance(model, KerasScorer):
                with tempfile.TemporaryDirectory() as directory:
                    model.save(directory)
                    found = find_culprit(directory, examples)
                return found, None if found else "no op was found by itself"
    except InputError as error:
        return None, str(error)
    return None, f"{scorer.name} can't be looked into; give its SavedModel by --against"
