"""Keras ranking models that score the same in training, in a notebook and behind TensorFlow Serving."""

import contextlib

from tfnorm import _quiet

try:
    with _quiet.quiet_imports() if _quiet.is_command_line() else contextlib.nullcontext():
        import keras
except ImportError as error:
    raise ImportError(
        f"tfnorm runs on Keras 3 with the TensorFlow backend, and importing Keras failed: {error}. "
        "Set KERAS_BACKEND=tensorflow if it names another backend."
    ) from error

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "tfnorm runs on Keras 3 with the TensorFlow backend; "
        f"the backend here is {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
    )

from tfnorm import datasets, export, layers, models, ops, statistics, verify
from tfnorm._version import __version__
from tfnorm.export import export_saved_model, to_numpy
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.statistics import recalibrate_statistics, statistics_report
from tfnorm.verify import assert_batch_invariant, inspect_saved_model, load_scorer
from tfnorm.verify import batch_invariance as verify_batch_invariance

__all__ = [
    "BatchNormalization",
    "Dice",
    "__version__",
    "assert_batch_invariant",
    "datasets",
    "export",
    "export_saved_model",
    "inspect_saved_model",
    "layers",
    "load_scorer",
    "models",
    "ops",
    "recalibrate_statistics",
    "statistics",
    "statistics_report",
    "to_numpy",
    "verify",
    "verify_batch_invariance",
]
