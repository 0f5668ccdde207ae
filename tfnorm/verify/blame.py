"""Find the culprit in whatever was verified, if it can be looked into."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from tfnorm.errors import InputError
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import DEFAULT_SIGNATURE
from tfnorm.verify.culprit.investigation import find_culprit
from tfnorm.verify.results import Culprit


def blame(
    scorer: Scorer,
    local: Scorer | None,
    examples: Mapping[str, np.ndarray],
    unpadded: Collection[str] = (),
) -> tuple[Culprit | None, str | None]:
    """The culprit, or why it isn't known.

    Args:
        scorer: what failed.
        local: a model on this machine that the scorer should be equal to.
        examples: the examples that it was verified with.
        unpadded: the inputs whose zeros at the end are no padding.
    """
    try:
        for model in (scorer,) if local is None else (scorer, local):
            with model.as_saved_model() as saved_model:
                if saved_model is not None:
                    for target in (saved_model, saved_model.path):
                        found = find_culprit(
                            target,
                            examples,
                            signature=model.signature or DEFAULT_SIGNATURE,
                            constants=model.constants,
                            unpadded=unpadded,
                        )
                        # State that scoring has changed may no longer move a score, unlike that of the file.
                        if found or model.concurrent:
                            break
                    return found, None if found else "no op was found by itself"
    except InputError as error:
        return None, str(error)
    return None, f"{scorer.name} can't be looked into; give its SavedModel by --against"
