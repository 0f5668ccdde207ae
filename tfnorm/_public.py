"""The names at the top of tfnorm, with TensorFlow and Keras, which they need."""

from tfnorm._start import backend  # noqa: F401, I001 - before all that imports Keras

import tfnorm.training.lazy_adam  # noqa: F401 - registered, as a .keras file may name it
from tfnorm import (
    cluster,
    datasets,
    errors,
    export,
    layers,
    metrics,
    models,
    ops,
    pipeline,
    schema,
    statistics,
    training,
    verify,
)
from tfnorm._start.version import __version__
from tfnorm.errors import InputError
from tfnorm.export import export_saved_model, to_numpy
from tfnorm.layers import BatchNormalization, Dice, Whitening
from tfnorm.pipeline import Delivered, deliver
from tfnorm.replay import replay
from tfnorm.schema import Schema
from tfnorm.statistics import recalibrate_statistics, statistics_report
from tfnorm.verify import (
    assert_batch_invariant,
    inspect_saved_model,
    load_scorer,
    verify_batch_invariance,
    verify_statistics,
)

__all__ = [
    "BatchNormalization",
    "Delivered",
    "Dice",
    "InputError",
    "Schema",
    "Whitening",
    "__version__",
    "assert_batch_invariant",
    "cluster",
    "datasets",
    "deliver",
    "errors",
    "export",
    "export_saved_model",
    "inspect_saved_model",
    "layers",
    "load_scorer",
    "metrics",
    "models",
    "ops",
    "pipeline",
    "recalibrate_statistics",
    "replay",
    "schema",
    "statistics",
    "statistics_report",
    "to_numpy",
    "training",
    "verify",
    "verify_batch_invariance",
    "verify_statistics",
]
