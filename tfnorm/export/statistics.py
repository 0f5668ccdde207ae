"""Whether an export's moving statistics fit the examples that come with it."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.difference import Arrays
from tfnorm.export.tracing.interface import Interface
from tfnorm.scorers.messages import one_line
from tfnorm.statistics.fit import statistics_fit
from tfnorm.statistics.judgement import OFF
from tfnorm.statistics.observation.moving import ever_updated, statistics_layers
from tfnorm.statistics.results import REPAIR, StatisticsFit


def check_fit(
    called: Interface, examples: Arrays, *, allow_misfit: bool, allow_untrained: bool
) -> StatisticsFit:
    """Compare the statistics with the examples.

    Args:
        called: the model.
        examples: input name -> array, in the inputs' dtypes.
        allow_misfit: let pass what is off.
        allow_untrained: let it pass where a layer was never updated.

    Raises:
        InputError: they are off, or the model can't score the examples.
    """
    try:
        fit = statistics_fit(called.model, called.score, examples)
    except tf.errors.OpError as error:
        raise InputError(f"the model can't score the examples: {one_line(error)}") from error
    excused = allow_misfit or (allow_untrained and _has_untrained(called.model))
    if fit.verdict == OFF and not excused:
        raise InputError(
            f"the moving statistics {fit}. Repair them with examples of the training, by "
            f"{REPAIR!r} or recalibrate_statistics; "
            "allow_misfit_statistics=True (--allow-misfit-statistics) exports them so"
        )
    return fit


def write(path: Path, fit: StatisticsFit) -> None:
    """Keep what the examples said of the statistics beside the model, for people and `inspect`."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(fit.to_dict(), indent=1) + "\n")


def _has_untrained(model: keras.Model) -> bool:
    return not all(map(ever_updated, statistics_layers(model)))
